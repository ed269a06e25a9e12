"""The decomposition as a table: one row a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.analysis.decomposition import Level, decompose
from reports.analysis.standing import standing_of
from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.decomposition import NOT_RUN, named, order
from reports.wording.ratio import times, times_interval
from reports.wording.units import MISSING, Unit, energy_unit

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval
    from reports.data import StudyResults


def decomposition(results: StudyResults) -> Table | None:
    """One row a stage, in the study's order; None where there is nothing to take apart."""
    found = decompose(results)
    if found is None:
        return None
    unit = energy_unit(reached.energy_j.mean for reached in found.measured)
    standing = standing_of(results.telling)
    kind = "" if standing.measured else f" ({standing.adjective})"
    header = [
        "Factor",
        "Method",
        f"Energy{kind}, {unit.symbol}",
        "Step",
        "All steps so far",
        "Test accuracy, %",
    ]
    return Table(
        name="decomposition",
        title="What the saving is made of",
        header=header,
        rows=[_row(level, unit) for level in found.levels],
        legend="Each step compares a row with the last one before it that was run: energy ratios "
        "paired by seed, with 95 % Student-t intervals on the log scale. Energies are geometric "
        f"means; all figures are over the n = {found.total.n} seeds that every row has. "
        f"{order(found)}",
        failed=frozenset(n for n, level in enumerate(found.levels) if level.reached is None),
    )


def _row(level: Level, unit: Unit) -> list[Cell]:
    reached = level.reached
    if reached is None:
        return [cells.text(named(level)), cells.text(NOT_RUN), *[Cell(MISSING)] * 4]
    return [
        cells.text(named(level)),
        cells.text(reached.arm),
        cells.measured(reached.energy_j, unit),
        _ratio(reached.step),
        _ratio(reached.so_far),
        cells.interval(reached.accuracy, 100, 2),
    ]


def _ratio(ratio: Interval | None) -> Cell:
    if ratio is None:
        return Cell(MISSING)
    return Cell(times(ratio), times_interval(ratio), ratio.mean)
