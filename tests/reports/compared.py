"""Invented result sets to compare: only what a comparison reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.results.final_test import FinalTest
from harness.settings.run_spec import RunSpec, short_labels_of
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from reports.statistics.comparison import Comparison, compare
from reports.statistics.result_set import ResultSet
from reports.statistics.threshold import Threshold
from reports.statistics.threshold_check import Checked, check

BEFORE = [100.0, 110.0, 95.0]
AFTER = [108.0, 118.0, 103.0]
"""Energies in J of three seeds: the ratios are 1.080, 1.073 and 1.084."""


def spec(
    method: str = "dense", hyperparameters: dict[str, Any] | None = None, **settings: Any
) -> RunSpec:
    """A specification; `settings` are keys of workload or training, or `variant` and `gpus`."""
    workload = {"data": "digits", "model": "vgg_small"}
    workload |= {k: v for k, v in settings.items() if k in WorkloadChoice.model_fields}
    training = {k: v for k, v in settings.items() if k in Training.model_fields}
    return RunSpec(
        study="mine",
        arm=method,
        method=method,
        hyperparameters=hyperparameters or {},
        seed=0,
        workload=WorkloadChoice(**workload),
        training=Training(**training),
        energy=EnergySettings(gpus=settings.get("gpus", "used")),
        variant=settings.get("variant"),
    )


def result_set(
    side: str,
    energies_j: Mapping[str, Sequence[float]],
    accuracies: Mapping[str, Sequence[float]] | None = None,
    specs: Mapping[str, RunSpec] | None = None,
    *,
    first_seed: int = 0,
    failed: Sequence[tuple[str, int]] = (),
    runs: Mapping[str, Any] | None = None,
    attempts: Mapping[str, Any] | None = None,
    tests: Mapping[tuple[str, int], FinalTest] | None = None,
) -> ResultSet:
    """Arms with an energy a seed; time is energy at 10 W. `runs`, `attempts` change columns."""
    rows = [
        {
            "arm": arm,
            "method": arm.split(" ")[0],
            "seed": first_seed + number,
            "status": "failed" if (arm, first_seed + number) in failed else "done",
            "test_score": (accuracies or {}).get(arm, [0.98] * len(values))[number],
            "energy_j": energy_j,
            "gain_j": 0.05 * energy_j,
            "energy_source": "counter",
            "energy_scope": "gpu",
            "energy_device": "NVIDIA H100",
            "energy_flags": "",
            "co2e_kg": energy_j / 3.6e6 * 0.475,
            "carbon_basis": "world average",
            "duration_s": energy_j / 10 if math.isfinite(energy_j) else 1.0,
            "parameters": 1000.0,
            "macs": 2000.0,
            "device": "cuda",
            **(runs or {}),
        }
        for arm, values in energies_j.items()
        for number, energy_j in enumerate(values)
    ]
    tried = [
        {
            **{key: row[key] for key in ("arm", "method", "seed", "device")},
            "host": "node1",
            "device_name": "NVIDIA H100",
            "threads": 8,
            "versions": json.dumps({"torch": "2.13.0"}),
            **(attempts or {}),
        }
        for row in rows
    ]
    return ResultSet(
        side=side,
        folder=f"results/{side}",
        study="mine",
        runs=pd.DataFrame(rows),
        attempts=pd.DataFrame(tried),
        specs=specs or {arm: spec(arm.split(" ")[0]) for arm in energies_j},
        tests=tests or {},
    )


def labelled(*specs: RunSpec) -> dict[str, RunSpec]:
    """Specifications by the labels that a study of these arms gives them."""
    return dict(zip(short_labels_of(specs), specs, strict=True))


def compared(before: Sequence[float], after: Sequence[float], **second: Any) -> Comparison:
    """One arm, dense, in both; `second` changes B."""
    return compare(result_set("A", {"dense": before}), result_set("B", {"dense": after}, **second))


def gates(comparison: Comparison, text: str) -> list[Checked]:
    """A threshold held against every arm that it is about."""
    return check(comparison, Threshold.parse(text))


def the_gate(comparison: Comparison, text: str) -> Checked:
    """A threshold that is about one arm."""
    (only,) = gates(comparison, text)
    return only
