"""Two result sets compared: one row an arm that both have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.tables.table import Cell, Table
from reports.wording.comparison import intervals
from reports.wording.inert import one_line
from reports.wording.units import MISSING, fixed, signed, significant

if TYPE_CHECKING:
    from reports.analysis.comparison import ArmComparison, Change, Comparison
    from reports.analysis.result_set import ArmRuns

_LARGE = 9999


def comparison_table(comparison: Comparison) -> Table:
    """Changes from A to B with their intervals; a dash where something is not comparable."""
    kind = _kind(comparison)
    header = [
        "Method",
        "Accuracy, points",
        f"Energy{kind}, ×",
        "Time, ×",
        "CO2e, ×",
        "Parameters, ×",
        "MACs, ×",
        "Runs in A",
        "Runs in B",
    ]
    return Table(
        name="comparison",
        title="Comparison",
        header=header,
        rows=[_row(arm) for arm in comparison.arms],
        legend=_legend(comparison),
        arms=[arm.label for arm in comparison.arms],
    )


def _kind(comparison: Comparison) -> str:
    """What the energies compared are worth, unless a sensor measured them all."""
    found = {arm.standing for arm in comparison.arms if arm.changes["energy"].found is not None}
    return f" ({', '.join(sorted(found))})" if found - {"measured"} else ""


def _row(arm: ArmComparison) -> list[Cell]:
    return [
        Cell(one_line(arm.label), value=arm.label),
        _points(arm.changes["accuracy"]),
        *(_ratio(arm.changes[metric]) for metric in ("energy", "time", "co2e")),
        Cell(_times(arm.parameters), value=arm.parameters),
        Cell(_times(arm.macs), value=arm.macs),
        _count(arm.first),
        _count(arm.second),
    ]


def _points(change: Change) -> Cell:
    found = change.found
    if found is None:
        return Cell(MISSING)
    note = f"{signed(found.low, 2)} … {signed(found.high, 2)}" if found.bounded else ""
    return Cell(signed(found.mean, 2), note, found.mean)


def _ratio(change: Change) -> Cell:
    found = change.found
    if found is None:
        return Cell(MISSING)
    note = f"{_times(found.low)} … {_times(found.high)}" if found.bounded else ""
    return Cell(_times(found.mean), note, found.mean)


def _times(ratio: float) -> str:
    """A ratio near 1 to a thousandth, a large one to three digits, one beyond all sense cut."""
    if math.isfinite(ratio) and ratio >= 10:
        return significant(ratio) if ratio < _LARGE else f">{_LARGE}"
    return fixed(ratio, 3)


def _count(runs: ArmRuns) -> Cell:
    done, begun = len(runs.finished), len(runs.runs)
    return Cell(f"{done} of {begun}" if done < begun else str(done), value=done)


def _legend(comparison: Comparison) -> str:
    parts = ["B against A: accuracy B − A, everything else B / A, on the log scale."]
    parts += filter(None, [intervals(comparison)])
    if any(
        len(runs.finished) < len(runs.runs)
        for arm in comparison.arms
        for runs in (arm.first, arm.second)
    ):
        parts.append("Runs that did not finish are left out.")
    return " ".join(parts)
