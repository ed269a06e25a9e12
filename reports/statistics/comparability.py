"""What two sets of runs of one arm must have in common to be comparable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.settings.settings import WHEREABOUTS
from reports.statistics.threshold import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.settings.metric import Metric
    from harness.settings.run_spec import RunSpec
    from reports.statistics.result_set import ArmRuns

COLUMNS: dict[Quantity, str] = {
    "score": "test_score",
    "energy": "energy_j",
    "time": "duration_s",
    "co2e": "co2e_kg",
}
"""The column of the table of runs that holds each quantity."""


def quantity_name(quantity: Quantity, metric: Metric) -> str:
    """How a quantity is called in a sentence, of runs that are scored by this metric."""
    return {"score": metric.name, "co2e": "CO2e"}.get(quantity, quantity)


EXECUTION = frozenset(
    {
        "workload.input",
        "training.channels_last",
        "training.fused",
        "training.compile",
        "training.graphs",
        "training.deterministic",
        "training.evaluate_epochs",
        "training.checkpoint_epochs",
    }
)
"""Settings of how the work is done rather than of what is learnt: their effect on energy is worth
comparing, and is named."""


def barriers(first: ArmRuns, second: ArmRuns) -> dict[Quantity, tuple[str, ...]]:
    """Why each quantity of an arm is not comparable; empty where it is."""
    work = _workload(first.spec, second.spec)
    work += _unequal_hashes("data", first, second)
    if not first.metric.comparable_with(second.metric):
        work.append(_differs("metric", first.metric.name, second.metric.name))
    work += [f"no finished run in {arm.side}" for arm in (first, second) if arm.finished.empty]
    if any(arm.finished.empty for arm in (first, second)):
        return dict.fromkeys(COLUMNS, tuple(work))
    machine = _alike("computing device", _computing(first), _computing(second))
    unknown = {quantity: _unknown(first, second, quantity) for quantity in COLUMNS}
    measured = [] if unknown["energy"] else _measurement(first, second)
    carbon = _differing(
        "carbon factor", first.distinct("carbon_basis"), second.distinct("carbon_basis")
    )
    found: dict[Quantity, list[str]] = {
        "score": work,
        "energy": work + machine + measured,
        "time": work + machine + _processor(first, second, machine),
        "co2e": work + machine + measured + carbon,
    }
    return {quantity: (*reasons, *unknown[quantity]) for quantity, reasons in found.items()}


def execution(first: RunSpec, second: RunSpec) -> list[str]:
    """Differences in how the work was done, which a comparison includes."""
    ours, theirs = _settings(first), _settings(second)
    found = _unequal(ours, theirs, EXECUTION)
    if first.workload.data == second.workload.data == "folder":
        roots = {"workload.root": (first.workload.root, second.workload.root)}
        found += [_differs(name, a, b) for name, (a, b) in roots.items() if a != b]
    return found


def other_code(first: ArmRuns, second: ArmRuns) -> list[str]:
    """Whether the method's code differs, which a comparison is often about, and includes."""
    return _unequal_hashes("code", first, second)


def _unequal_hashes(what: str, first: ArmRuns, second: ArmRuns) -> list[str]:
    """Whether code or data differ where both sides recorded them; named by their hashes."""
    sides = [
        arm.distinct(f"{what}_hash") if f"{what}_hash" in arm.runs else ()
        for arm in (first, second)
    ]
    return _alike(what, *sides) if all(sides) else []


def _workload(first: RunSpec, second: RunSpec) -> list[str]:
    ours, theirs = _settings(first), _settings(second)
    return _unequal(ours, theirs, ours.keys() - EXECUTION)


def _settings(spec: RunSpec) -> dict[str, Any]:
    """Every setting of workload and recipe but for paths, by its key."""
    settings = spec.model_dump(mode="json", include={"workload", "training"})
    return {
        f"{table}.{key}": value
        for table, values in settings.items()
        for key, value in values.items()
        if table != "workload" or key not in WHEREABOUTS
    }


def _unequal(ours: Mapping[str, Any], theirs: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    chosen = set(keys)
    return [
        _differs(key, value, theirs[key])
        for key, value in ours.items()
        if key in chosen and value != theirs[key]
    ]


def _computing(arm: ArmRuns) -> tuple[str, ...]:
    """What the finished runs computed on; how many threads of a processor, if that was it."""
    found = set()
    for each in arm.finished_attempts.to_dict("records"):
        known = {key: value for key, value in each.items() if pd.notna(value)}
        words = [str(known.get(key, "")) for key in ("device", "device_name")]
        if words[0] == "cpu" and "threads" in known:
            words.append(f"with {known['threads']:g} threads")
        if known.get("processes", 1) > 1:
            words.append(f"by {known['processes']:g} processes")
        found.add(" ".join(filter(None, words)))
    return tuple(sorted(found))


def _processor(first: ArmRuns, second: ArmRuns, machine: list[str]) -> list[str]:
    """Whether times were taken on processors of different make.

    The system often does not name a processor; where hosts differ, its meter may.
    """
    kinds = {*first.distinct("device"), *second.distinct("device")}
    if machine or "cpu" not in kinds or first.hosts == second.hosts:
        return []
    return _differing(
        "measured device", first.distinct("energy_device"), second.distinct("energy_device")
    )


def _measurement(first: ArmRuns, second: ArmRuns) -> list[str]:
    found = _alike("standing of the energy", first.standings, second.standings)
    for name, column in (("energy scope", "energy_scope"), ("measured device", "energy_device")):
        found += _alike(name, first.distinct(column), second.distinct(column))
    gpus = (first.spec.energy.gpus, second.spec.energy.gpus)
    scopes = set("+".join(first.distinct("energy_scope")).split("+"))
    if gpus[0] != gpus[1] and scopes & {"gpu", "module"}:
        found.append(_differs("energy.gpus", *gpus))
    return found


def _alike(name: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> list[str]:
    """Why the runs do not all agree; empty if they do."""
    if ours == theirs and len(ours) > 1:
        return [f"runs differ in {name} ({'; '.join(ours)})"]
    return _differing(name, ours, theirs)


def _differing(name: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> list[str]:
    if ours == theirs:
        return []
    return [_differs(name, "; ".join(ours) or "unknown", "; ".join(theirs) or "unknown")]


def _differs(name: str, ours: object, theirs: object) -> str:
    return f"{name} differs ({ours} in A; {theirs} in B)"


def _unknown(first: ArmRuns, second: ArmRuns, quantity: Quantity) -> list[str]:
    """Sides without a value; for a ratio, without one that has a logarithm."""
    least, why = (-math.inf, "") if quantity == "score" else (0.0, " or 0")
    return [
        f"{quantity_name(quantity, arm.metric)} is unknown{why} in {arm.side}"
        for arm in (first, second)
        if not any(value > least for value in arm.by_seed(COLUMNS[quantity]).values())
    ]
