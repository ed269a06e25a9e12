"""From a results folder to what tables and figures take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from harness.results.close_up import CloseUp, close_up
from reports.data import (
    HOUR_COLUMNS,
    PLACE_COLUMNS,
    AskedClaim,
    Stage,
    StudyResults,
)

if TYPE_CHECKING:
    from harness.results.folder import RunFolder
    from harness.results.table import Tables


def study_results(tables: Tables) -> StudyResults:
    """All that a report shows of one study."""
    results = StudyResults(
        study=tables.study,
        runs=tables.runs,
        curves=tables.curves,
        phases=tables.phases,
        baseline=tables.baseline,
        attempts=tables.attempts,
        tickets=tables.tickets,
        places=pd.DataFrame(tables.carbon.places(), columns=PLACE_COLUMNS),
        claims=_claims(tables),
        decomposition=_decomposition(tables),
        margin_points=tables.report.margin_points,
        tests=tables.tested,
        settings=tables.settings,
    )
    seeds = {arm: results.median_seed(arm) for arm in results.finished_arms}
    return replace(
        results,
        hours=pd.DataFrame(_hours(tables, results), columns=HOUR_COLUMNS),
        close_ups={
            arm: found
            for arm, seed in seeds.items()
            if (found := _close_up(tables.folder(arm, seed), seed)) is not None
        },
    )


def _close_up(folder: RunFolder, seed: int) -> CloseUp | None:
    """A run in detail; None if its records are damaged where only that would need them."""
    try:
        return close_up(folder, seed)
    except Exception:  # noqa: BLE001 - records from anywhere: the rest of the report stands
        return None


def _claims(tables: Tables) -> tuple[AskedClaim, ...]:
    return tuple(
        AskedClaim(
            text=claim.text,
            source=claim.source,
            arm=tables.arm(claim.arm),
            against=tables.arm(claim.against),
            energy_at_most=claim.energy_at_most,
            points_at_least=claim.points_at_least,
        )
        for claim in tables.report.claims
    )


def _decomposition(tables: Tables) -> tuple[Stage, ...]:
    asked = tables.report.decomposition
    if asked is None:
        return ()
    steps = [Stage(step.factor, tables.arm(step.arm)) for step in asked.steps]
    return (Stage("", tables.arm(asked.start)), *steps)


def _hours(tables: Tables, results: StudyResults) -> list[dict[str, object]]:
    """The factor at each hour for a run as long as the arm's are on average."""
    rows: list[dict[str, object]] = []
    for arm in results.finished_arms:
        duration_s = float(pd.Series(results.by_seed(arm, "duration_s")).mean())
        rows += [{"arm": arm} | row for row in tables.carbon.hours(duration_s)]
    return rows
