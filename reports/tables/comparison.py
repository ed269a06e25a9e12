"""Two result sets compared: one row an arm that both have."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from reports.tables.table import ARM, Table, View
from reports.wording.comparison import intervals
from reports.wording.inert import one_line
from reports.wording.units import POINTS, Unit, fixed, signed, significant

if TYPE_CHECKING:
    from reports.analysis.comparison import ArmComparison, Comparison
    from reports.tables.table import Record

_LARGE = 9999
_TIMES = Unit("×", 1.0)


def _change(name: str, sentence: str) -> Column:
    return Column(name, "number", sentence, interval=True)


SCHEMA = Schema(
    "comparison",
    "Comparison",
    "a method that both have",
    (
        ARM,
        _change("accuracy_difference", "Test accuracy, B minus A: 0.01 is one percentage point."),
        _change("energy_ratio", "Energy, B over A."),
        _change("duration_ratio", "Time, B over A."),
        _change("co2e_ratio", "CO2e, B over A."),
        Column("parameters_ratio", "number", "Parameters of the final network, B over A."),
        Column("macs_ratio", "number", "Multiply-accumulates of the final network, B over A."),
        Column("finished_a", "integer", "Runs of A that finished."),
        Column("started_a", "integer", "Runs of A that were begun."),
        Column("finished_b", "integer", "Runs of B that finished."),
        Column("started_b", "integer", "Runs of B that were begun."),
    ),
)


def comparison_table(comparison: Comparison) -> Table:
    """Changes from A to B with their intervals; a dash where something is not comparable."""
    return Table(
        schema=SCHEMA,
        records=[_record(arm) for arm in comparison.arms],
        view={
            "arm": View("Method", text=lambda row: one_line(row["arm"])),
            "accuracy_difference": View("Accuracy", POINTS, partial(signed, decimals=2)),
            "energy_ratio": View(f"Energy{_kind(comparison)}", _TIMES, _times),
            "duration_ratio": View("Time", _TIMES, _times),
            "co2e_ratio": View("CO2e", _TIMES, _times),
            "parameters_ratio": View("Parameters", _TIMES, _times),
            "macs_ratio": View("MACs", _TIMES, _times),
            "finished_a": View("Runs in A", text=lambda row: _count(row, "a")),
            "finished_b": View("Runs in B", text=lambda row: _count(row, "b")),
        },
        legend=_legend(comparison),
        arms=[arm.label for arm in comparison.arms],
    )


def _kind(comparison: Comparison) -> str:
    """What the energies compared are worth, unless a sensor measured them all."""
    found = {arm.standing for arm in comparison.arms if arm.changes["energy"].found is not None}
    return f" ({', '.join(sorted(found))})" if found - {"measured"} else ""


def _record(arm: ArmComparison) -> Record:
    return {
        "arm": arm.label,
        "accuracy_difference": arm.changes["accuracy"].found,
        "energy_ratio": arm.changes["energy"].found,
        "duration_ratio": arm.changes["time"].found,
        "co2e_ratio": arm.changes["co2e"].found,
        "parameters_ratio": arm.parameters,
        "macs_ratio": arm.macs,
        "finished_a": len(arm.first.finished),
        "started_a": len(arm.first.runs),
        "finished_b": len(arm.second.finished),
        "started_b": len(arm.second.runs),
    }


def _times(ratio: float) -> str:
    """A ratio near 1 to a thousandth, a large one to three digits, one beyond all sense cut."""
    if math.isfinite(ratio) and ratio >= 10:
        return significant(ratio) if ratio < _LARGE else f">{_LARGE}"
    return fixed(ratio, 3)


def _count(row: Record, side: str) -> str:
    done, begun = row[f"finished_{side}"], row[f"started_{side}"]
    return f"{done} of {begun}" if done < begun else str(done)


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
