"""Two result sets compared: as a table, JSON, a comment in Markdown, and for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from harness.results.column import Column, Schema
from harness.results.safe_csv import in_markdown, one_line, quiet
from reports.statistics.statistics import Interval
from reports.tables.formats import as_markdown
from reports.tables.table import ARM, Table, View
from reports.text.comparison import (
    gate_sentence,
    intervals,
    notes,
    remarks,
    sides,
    unit_of,
    warnings,
)
from reports.text.scores import Shown
from reports.text.units import Unit, fixed, significant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.settings.metric import Metric
    from reports.statistics.comparison import ArmComparison, Change, Comparison
    from reports.statistics.threshold_check import Checked
    from reports.tables.table import Cell, Record


_LARGE = 9999
_TIMES = Unit("×", 1.0)
_NOTHING = Interval(math.nan, math.nan, math.nan, 0)


def _change(name: str, sentence: str) -> Column:
    return Column(name, "number", sentence, interval=True)


SCHEMA = Schema(
    "comparison",
    "Comparison",
    "a method that both have",
    (
        ARM,
        _change("score_difference", "Test score, B minus A: 0.01 is one percentage point."),
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
    shown = Shown(comparison.metric)
    return Table(
        schema=SCHEMA,
        records=[_record(arm, comparison.metric) for arm in comparison.arms],
        view={
            "arm": View("Method", text=lambda row: one_line(row["arm"])),
            "score_difference": View(shown.header(), shown.unit_of_change, shown.changes),
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


def _record(arm: ArmComparison, metric: Metric) -> Record:
    difference = arm.changes["score"].found
    return {
        "arm": arm.label,
        "score_difference": difference and difference.scaled(1 / metric.factor),
        "energy_ratio": arm.changes["energy"].found,
        "duration_ratio": arm.changes["time"].found,
        "co2e_ratio": arm.changes["co2e"].found,
        "parameters_ratio": arm.parameters,
        "macs_ratio": arm.macs,
        **_runs(arm),
    }


def _runs(arm: ArmComparison) -> dict[str, int]:
    return {
        "started_a": len(arm.first.runs),
        "started_b": len(arm.second.runs),
        "finished_a": len(arm.first.finished),
        "finished_b": len(arm.second.finished),
    }


def _times(ratio: float) -> str:
    """A ratio near 1 to a thousandth, a large one to three digits, a huge one is cut."""
    if math.isfinite(ratio) and ratio >= 10:
        return significant(ratio) if ratio < _LARGE else f">{_LARGE}"
    return fixed(ratio, 3)


def _count(row: Record, side: str) -> str:
    done, begun = row[f"finished_{side}"], row[f"started_{side}"]
    return f"{done} of {begun}" if done < begun else str(done)


def _legend(comparison: Comparison) -> str:
    name = comparison.metric.name
    parts = [f"B against A: {name} B − A, everything else B / A, on the log scale."]
    parts += filter(None, [intervals(comparison)])
    if any(
        len(runs.finished) < len(runs.runs)
        for arm in comparison.arms
        for runs in (arm.first, arm.second)
    ):
        parts.append("Runs that did not finish are left out.")
    return " ".join(parts)


VERSION = 2
"""Of the object's form; it goes up when a key changes its meaning or goes."""

_UNITS = {"energy": "J", "time": "s", "co2e": "kg"}


def as_object(comparison: Comparison, checked: Iterable[Checked]) -> dict[str, Any]:
    """The object. What is unknown or not comparable is null; names are as they were found.

    - `version`: 2.
    - `metric`: what scores are: "accuracy".
    - `a`, `b`: `folder` and `study` of each.
    - `arms`: one object per arm in both: `arm` (its label), `arm_a`, `arm_b` (in each),
      `started_a`, `started_b`, `finished_a`, `finished_b` (runs), `energy_standing` ("measured",
      "estimated", "simulated", "partly ..."), `differences` (hyper-parameters and ways of
      execution that differ), `parameters_ratio`, `macs_ratio` (B / A), and `score`, `energy`,
      `time`, `co2e`.
    - Each of these four: `reasons` (why it is not comparable; empty if it is), `change` with
      `low` and `high` (95 %) in `change_unit` ("ratio": B / A; of a score B − A in its metric's
      unit, such as "points"), `interval`
      ("paired", "Welch"), `n_a`, `n_b` (runs that entered), `mean_a`, `mean_b` (arithmetic, over
      these) in `mean_unit` ("%", "J", "s", "kg"), `test_samples` (that the interval of a score
      allows for, beside the seeds; 0 if their scores were not recorded), `sensor_gain` and
      `borders_gaps_aliasing` (what sensors may add to a ratio, as shares; the first is 0 on one
      machine).
    - `only_a`, `only_b`: labels of arms in one only.
    - `warnings`, `notes`: sentences.
    - `thresholds`: one object per arm that a threshold is about: `threshold` (as given), `arm`,
      `quantity`, `limit` and `change` in `unit` ("%", "points"), `outcome` ("kept", "exceeded",
      "unchecked"), `confirmation` ("shown", "within noise", "not shown"), `reasons` (why it is
      unchecked), `sentence`.
    - `passed`: whether every threshold is kept.
    """
    gates = [_gate(each) for each in checked]
    return {
        "version": VERSION,
        "metric": comparison.metric.name,
        **{
            key: {"folder": side.folder, "study": side.study}
            for key, side in (("a", comparison.first), ("b", comparison.second))
        },
        "arms": [_arm(arm, comparison.metric) for arm in comparison.arms],
        "only_a": list(comparison.only_first),
        "only_b": list(comparison.only_second),
        "warnings": warnings(comparison),
        "notes": notes(comparison),
        "thresholds": gates,
        "passed": all(gate["outcome"] == "kept" for gate in gates),
    }


def _arm(arm: ArmComparison, metric: Metric) -> dict[str, Any]:
    return {
        "arm": arm.label,
        "arm_a": arm.names.first,
        "arm_b": arm.names.second,
        **_runs(arm),
        "energy_standing": arm.standing,
        "differences": list(arm.differences),
        "parameters_ratio": _known(arm.parameters),
        "macs_ratio": _known(arm.macs),
        **{name: _change_json(change, metric) for name, change in arm.changes.items()},
    }


def _change_json(change: Change, metric: Metric) -> dict[str, Any]:
    found, is_score = change.found or _NOTHING, change.quantity == "score"
    factor = metric.factor if is_score else 1
    return {
        "reasons": list(change.reasons),
        "change": _known(found.mean),
        "low": _known(found.low),
        "high": _known(found.high),
        "change_unit": metric.difference_unit if is_score else "ratio",
        "interval": change.way if found.bounded else None,
        "n_a": change.n_a,
        "n_b": change.n_b,
        "mean_a": _known(change.mean_a * factor),
        "mean_b": _known(change.mean_b * factor),
        "mean_unit": metric.unit if is_score else _UNITS[change.quantity],
        "test_samples": change.samples,
        "sensor_gain": _known(change.doubt.gain) if change.found else None,
        "borders_gaps_aliasing": _known(change.doubt.blur) if change.found else None,
    }


def _gate(checked: Checked) -> dict[str, Any]:
    relative = checked.change.relative if checked.change else None
    return {
        "threshold": checked.threshold.text,
        "arm": checked.arm or None,
        "quantity": checked.threshold.quantity,
        "limit": checked.threshold.limit,
        "change": _known(relative.mean) if relative else None,
        "unit": unit_of(checked),
        "outcome": checked.outcome,
        "confirmation": checked.confirmation,
        "reasons": list(checked.reasons),
        "sentence": gate_sentence(checked),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_comment(comparison: Comparison, checked: Iterable[Checked]) -> str:
    """How each threshold fared, then the table, then what to know about it."""
    gates = [f"**{each.outcome}**: {in_markdown(gate_sentence(each))}" for each in checked]
    parts = [
        _listed(map(in_markdown, sides(comparison))),
        _listed(gates),
        as_markdown(comparison_table(comparison)).strip() if comparison.arms else "",
        _listed(map(in_markdown, remarks(comparison))),
    ]
    return quiet("\n\n".join(filter(None, parts)))


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


_SHORT = {
    "Time, ×": "time\n×",
    "CO2e, ×": "CO2e\n×",
    "Parameters, ×": "params\n×",
    "MACs, ×": "MACs\n×",
    "Runs in A": "n\nA",
    "Runs in B": "n\nB",
}
_WITHOUT_INTERVAL = frozenset({"CO2e, ×"})
"""CO2e is energy times a factor: its interval is that of the energy, and room is scarce."""


def comparison_terminal(table: Table) -> RichTable:
    """The table that `comparison_table` made, each interval below its mean."""
    rich = RichTable(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    rich.add_column("method", overflow="fold", min_width=10)
    for name in table.header[1:]:
        short = _SHORT.get(name) or _short(name)
        rich.add_column(short, justify="right", overflow="fold")
    for row in table.rows:
        named = zip(table.header, row, strict=True)
        rich.add_row(*(_shown(cell, name in _WITHOUT_INTERVAL) for name, cell in named))
    rich.caption = Text(table.legend)
    rich.caption_justify = "left"
    return rich


def _short(header: str) -> str:
    """A header of several words on several lines, as "accuracy, points" is."""
    return header.lower().replace(" (", "\n(").replace(", ×", " ×").replace(", ", "\n")


def _shown(cell: Cell, without_interval: bool) -> Text:
    count = cell.text.replace(" of ", "/")
    return Text(count if without_interval or not cell.note else f"{cell.text}\n{cell.note}")
