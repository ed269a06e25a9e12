"""Which tables a report has beside its headline, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.tables.break_even import break_even_table
from reports.tables.claims import claims
from reports.tables.decomposition import decomposition
from reports.tables.environment import environment
from reports.tables.every_run import every_attempt, every_run
from reports.tables.targets import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reports.data import StudyResults
    from reports.tables.table import Table

FINDINGS: Sequence[Callable[[StudyResults], Table | None]] = (
    claims,
    targets,
    break_even_table,
    decomposition,
)
"""What the study found; None where it says nothing."""

DETAILS: Sequence[Callable[[StudyResults], Table | None]] = (
    every_run,
    every_attempt,
    environment,
)
"""What it rests on."""
