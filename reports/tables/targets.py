"""Energy to accuracy: the joules until an arm comes near the baseline's accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reports.analysis.curves import run_curves
from reports.analysis.standing import standing_of
from reports.analysis.targets import SHARES, Reached, energy_to_targets, reference_accuracy
from reports.tables import cells
from reports.tables.table import Cell, Table
from reports.wording.reached import NOT_REACHED, listed, some_of
from reports.wording.units import MISSING, Unit, energy_unit, fixed, percent

if TYPE_CHECKING:
    from reports.data import StudyResults


def targets(results: StudyResults) -> Table | None:
    """One row a finished arm; None without a finished baseline that sets the targets."""
    found = {
        (each.arm, each.share): each for each in energy_to_targets(results, run_curves(results))
    }
    if not found:
        return None
    unit = energy_unit(each.energy_j.mean for each in found.values())
    standing = standing_of(results.finished)
    kind = "" if standing.measured else f" ({standing.adjective})"
    header = ["Method"]
    for share in SHARES:
        header.append(f"Energy{kind} to {percent(share)} %, {unit.symbol}")
        header.append(f"To {percent(share)} %, ×\u00a0{results.baseline_arm}")
    return Table(
        name="energy_to_accuracy",
        title="Energy to accuracy",
        header=header,
        rows=[
            [
                cells.text(arm),
                *(
                    cell
                    for share in SHARES
                    for cell in (_energy(found[arm, share], unit), _ratio(found[arm, share]))
                ),
            ]
            for arm in results.finished_arms
        ],
        legend=_legend(results),
        arms=results.finished_arms,
    )


def _energy(target: Reached, unit: Unit) -> Cell:
    if not target.energy_j.n:
        return Cell(NOT_REACHED if target.seeds else MISSING)
    cell = cells.measured(target.energy_j, unit)
    return replace(cell, note="; ".join(filter(None, (cell.note, some_of(target)))))


def _ratio(target: Reached) -> Cell:
    if target.ratio is None:
        return Cell("1", value=1.0) if target.energy_j.n else Cell(MISSING)
    if not target.ratio.n:
        return Cell(MISSING)
    return cells.interval(target.ratio, 1, 2)


def _legend(results: StudyResults) -> str:
    reference = reference_accuracy(results)
    shares = [percent(share) for share in SHARES]
    levels = [fixed(share * reference * 100, 1) for share in SHARES]
    return (
        f"Everything spent until the validation accuracy first is at or above {listed(shares)} % "
        f"of the {fixed(reference * 100, 1)} % that {results.baseline_arm} ends with (mean over "
        f"seeds): {listed(levels)} %. Only evaluations of the network in its final shape count, "
        "since before its last pruning it is not the network that the method delivers; the "
        "energy is that of the whole run until then, search included. Nothing is interpolated "
        "between evaluations. Means over the seeds that reached it, with 95 % Student-t intervals "
        "beneath; where some did not, the mean is of the better ones. Ratios are paired by seed, "
        "on the log scale, over the seeds in which both reached it."
    )
