"""A comparison as one JSON object, for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reports.wording.comparison import told_gate
from reports.wording.comparison_notes import notes, warnings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.analysis.comparison import ArmComparison, Change, Comparison
    from reports.analysis.gates import Checked
    from reports.analysis.result_set import ResultSet

VERSION = 1
"""Of the object's form; it goes up when a key changes its meaning or goes."""

_MEANS = {"accuracy": "%", "energy": "J", "time": "s", "co2e": "kg"}


def as_object(comparison: Comparison, checked: Iterable[Checked]) -> dict[str, Any]:
    """The object. What is unknown or not comparable is null; names are as they were found.

    - `version`: 1.
    - `a`, `b`: `folder` and `study` of each.
    - `arms`: one object an arm in both: `arm` (its label), `arm_a`, `arm_b` (in each), `started_a`,
      `started_b`, `finished_a`, `finished_b` (runs), `energy_standing` ("measured", "estimated",
      "simulated", "partly ..."), `differences` (hyper-parameters and ways of execution that
      differ), `parameters_ratio`, `macs_ratio` (B / A), and `accuracy`, `energy`, `time`, `co2e`.
    - Each of these four: `reasons` (why it is not comparable; empty if it is), `change` with
      `low` and `high` (95 %) in `change_unit` ("points": B − A; "ratio": B / A), `interval`
      ("paired", "Welch"), `n_a`, `n_b` (runs that entered), `mean_a`, `mean_b` (arithmetic, over
      these) in `mean_unit` ("%", "J", "s", "kg"), `sensor_gain` (what sensors of two machines may
      add to a ratio, as a share; 0 on one machine).
    - `only_a`, `only_b`: labels of arms in one only.
    - `warnings`, `notes`: sentences.
    - `thresholds`: one object an arm that a threshold is about: `threshold` (as given), `arm`,
      `metric`, `limit` and `change` in `unit` ("%", "points"), `outcome` ("kept", "exceeded",
      "unchecked"), `confirmation` ("shown", "within noise", "not shown"), `reasons` (why it is
      unchecked), `sentence`.
    - `passed`: whether every threshold is kept.
    """
    gates = [_gate(each) for each in checked]
    return {
        "version": VERSION,
        "a": _side(comparison.first),
        "b": _side(comparison.second),
        "arms": [_arm(arm) for arm in comparison.arms],
        "only_a": list(comparison.only_first),
        "only_b": list(comparison.only_second),
        "warnings": warnings(comparison),
        "notes": notes(comparison),
        "thresholds": gates,
        "passed": all(gate["outcome"] == "kept" for gate in gates),
    }


def _side(side: ResultSet) -> dict[str, Any]:
    return {"folder": side.folder, "study": side.study}


def _arm(arm: ArmComparison) -> dict[str, Any]:
    return {
        "arm": arm.label,
        "arm_a": arm.names.first,
        "arm_b": arm.names.second,
        "started_a": len(arm.first.runs),
        "started_b": len(arm.second.runs),
        "finished_a": len(arm.first.finished),
        "finished_b": len(arm.second.finished),
        "energy_standing": arm.standing,
        "differences": list(arm.differences),
        "parameters_ratio": _known(arm.parameters),
        "macs_ratio": _known(arm.macs),
        **{metric: _change(change) for metric, change in arm.changes.items()},
    }


def _change(change: Change) -> dict[str, Any]:
    found, percent = change.found, 100 if change.metric == "accuracy" else 1
    return {
        "reasons": list(change.reasons),
        "change": _known(found.mean) if found else None,
        "low": _known(found.low) if found else None,
        "high": _known(found.high) if found else None,
        "change_unit": "points" if change.metric == "accuracy" else "ratio",
        "interval": change.way if found and found.bounded else None,
        "n_a": change.n_a,
        "n_b": change.n_b,
        "mean_a": _known(change.mean_a * percent),
        "mean_b": _known(change.mean_b * percent),
        "mean_unit": _MEANS[change.metric],
        "sensor_gain": _known(change.doubt.gain) if found else None,
        "borders_gaps_aliasing": _known(change.doubt.blur) if found else None,
    }


def _gate(checked: Checked) -> dict[str, Any]:
    relative = checked.change.relative if checked.change else None
    return {
        "threshold": checked.threshold.text,
        "arm": checked.arm or None,
        "metric": checked.threshold.metric,
        "limit": checked.threshold.limit,
        "change": _known(relative.mean) if relative else None,
        "unit": checked.threshold.unit,
        "outcome": checked.outcome,
        "confirmation": checked.confirmation,
        "reasons": list(checked.reasons),
        "sentence": told_gate(checked),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
