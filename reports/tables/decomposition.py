"""The decomposition table: one row per stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from reports.statistics.decomposition import decompose
from reports.statistics.energy_kind import standing_of
from reports.tables.table import ENERGY_KIND, Table, View
from reports.text.phrases import NOT_RUN, named, order, times, times_interval
from reports.text.scores import Shown
from reports.text.units import MISSING, energy_unit

if TYPE_CHECKING:
    from reports.data import StudyResults
    from reports.statistics.decomposition import Decomposition, MeasuredStage
    from reports.tables.table import Record

SCHEMA = Schema(
    "decomposition",
    "What the saving is made of",
    "a stage",
    (
        Column("factor", "text", "What is new since the last stage that was run."),
        Column("arm", "text", "The method; empty where none was run."),
        Column("energy_j", "number", "Geometric mean over seeds.", "J", interval=True),
        ENERGY_KIND,
        Column(
            "step_ratio",
            "number",
            "Energy over that of the last stage that was run, paired by seed.",
            interval=True,
        ),
        Column(
            "total_ratio",
            "number",
            "Energy over that of the first stage, paired by seed.",
            interval=True,
        ),
        Column("score", "number", "Test score: mean over seeds.", interval=True),
        Column("n", "integer", "Seeds that every stage has; all figures are over these."),
    ),
)


def decomposition(results: StudyResults) -> Table | None:
    """One row per stage, in the study's order; None without a decomposition."""
    found = decompose(results)
    if found is None:
        return None
    unit = energy_unit(reached.energy_j.mean for reached in found.measured)
    shown, standing = Shown(results.metric), standing_of(results.telling)
    kind = "" if standing.measured else f" ({standing.adjective})"
    return Table(
        schema=SCHEMA,
        records=[_record(level, found, standing.adjective) for level in found.levels],
        view={
            "factor": View("Factor"),
            "arm": View("Method", text=lambda row: row["arm"] or NOT_RUN),
            "energy_j": View(f"Energy{kind}", unit),
            "step_ratio": _ratio("Step", "step_ratio"),
            "total_ratio": _ratio("All steps so far", "total_ratio"),
            "score": View(shown.header("Test"), shown.unit, shown.figures),
        },
        legend="Each step compares a row with the last one before it that was run: energy ratios "
        "paired by seed, with 95 % Student-t intervals on the log scale and what sensors add. "
        "Energies are geometric "
        f"means; all figures are over the n = {found.total.n} seeds that every row has. "
        f"{order(found)}",
        failed=frozenset(n for n, level in enumerate(found.levels) if level.reached is None),
    )


def _record(level: MeasuredStage, found: Decomposition, kind: str) -> Record:
    reached = level.reached
    return {
        "factor": named(level),
        "arm": reached.arm if reached else None,
        "energy_j": reached.energy_j if reached else None,
        "energy_kind": kind,
        "step_ratio": reached.step if reached else None,
        "total_ratio": reached.so_far if reached else None,
        "score": reached.score if reached else None,
        "n": found.total.n if reached else None,
    }


def _ratio(title: str, name: str) -> View:
    """A ratio as a factor ("1.34× less"), with its interval likewise."""
    return View(
        title,
        text=lambda row: times(row[name]) if row[name] else MISSING,
        note=lambda row: times_interval(row[name]) if row[name] else "",
    )
