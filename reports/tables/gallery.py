"""Which tables a report has beside its headline, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.tables import (
    break_even,
    claims,
    decomposition,
    every_run,
    headline,
    inferences,
    matched,
    places,
    targets,
    tuning,
    warnings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.results.column import Schema
    from reports.data import StudyResults
    from reports.tables.table import Table

FINDINGS: Sequence[Callable[[StudyResults], Table | None]] = (
    claims.claims,
    matched.matched,
    targets.targets,
    inferences.inferences,
    break_even.break_even_table,
    decomposition.decomposition,
    tuning.tuning,
    places.places,
)
"""Findings of a study; a table is None where it has nothing to show."""

DETAILS: Sequence[Callable[[StudyResults], Table | None]] = (
    every_run.every_run,
    every_run.every_attempt,
    every_run.environment,
)
"""What the findings rest on."""

SCHEMAS: Sequence[Schema] = (
    headline.SCHEMA,
    claims.SCHEMA,
    matched.SCHEMA,
    targets.SCHEMA,
    inferences.SCHEMA,
    break_even.SCHEMA,
    decomposition.SCHEMA,
    tuning.SCHEMA,
    places.SCHEMA,
    every_run.RUNS,
    every_run.ATTEMPTS,
    every_run.SCHEMA,
    warnings.SCHEMA,
)
"""Columns of every table that a report writes."""
