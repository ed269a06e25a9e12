"""Invented studies with the shape of real ones: the same seed gives the same tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.settings.metric import ACCURACY, Metric
from reports.data import StudyResults

# Phases of each method: label, energy in J, evaluations, accuracy at its first and last one.
PLANS: dict[str, list[tuple[str, float, int, float, float]]] = {
    "dense": [("train", 84.0, 12, 0.62, 0.988)],
    "progressive": [
        ("round 0", 84.0, 12, 0.62, 0.988),
        ("round 1", 80.0, 12, 0.93, 0.989),
        ("round 2", 76.0, 12, 0.90, 0.986),
    ],
    "lottery_ticket": [
        ("level 0", 84.0, 12, 0.62, 0.988),
        ("level 1", 85.0, 12, 0.70, 0.990),
        ("level 2", 84.0, 12, 0.70, 0.991),
    ],
    "early_bird": [("search", 21.0, 4, 0.62, 0.94), ("retrain", 25.0, 8, 0.91, 0.985)],
}
SHARES = {
    "dense": (1.0, 1.0, 1.0),
    "progressive": (0.42, 0.38, 1.0),
    "lottery_ticket": (1.0, 1.0, 0.64),
    "early_bird": (0.31, 0.28, 1.0),
}
FINAL = {"dense": 0.9886, "progressive": 0.9863, "lottery_ticket": 0.9905, "early_bird": 0.9858}
BOOKKEEPING = {"evaluation": 4.1, "checkpoint": 1.2, "test": 0.9, "overhead": 2.8}
NOTE = "2 threads at 7.5 W a busy thread; no sensor could be read"


def make(
    arms: Mapping[str, str] | Sequence[str] = tuple(PLANS),
    seeds: int = 3,
    source: str = "estimated",
    failed: Sequence[tuple[str, int]] = (),
    scale: float = 1.0,
    spread: float = 1.0,
    rng_seed: int = 0,
    metric: Metric = ACCURACY,
) -> StudyResults:
    """A study of `arms` (labels, or label to method) over seeds 0 to `seeds` − 1.

    `scale` multiplies every energy; `spread` multiplies the differences between seeds. Under a
    `metric` of which lower is better the scores are those accuracies mirrored, in margins.
    """
    methods = dict(arms) if isinstance(arms, Mapping) else {a: a.split(" ")[0] for a in arms}
    rng = np.random.default_rng(rng_seed)
    runs: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    phases: list[dict[str, object]] = []
    for index, (arm, method) in enumerate(methods.items()):
        # Sweeps of one method draw ever less, so that their points lie apart.
        factor = scale * 0.93**index if arm != method else scale
        for seed in range(seeds):
            noise = 1 + spread * rng.normal(0, 0.012)
            key = {"arm": arm, "method": method, "seed": seed}
            if (arm, seed) in failed:
                runs.append({**_run(key, source), "status": "failed", "reason": "out of memory"})
                phases.append({**_phase(key, "lost", 13.0), "duration_s": 1.0})
                continue
            spent, order, before = 0.0, 0, len(phases)
            accuracy = FINAL.get(method, 0.98) + spread * rng.normal(0, 0.0022)
            for label, joules, evaluations, first, last in PLANS.get(method, PLANS["dense"]):
                phase_j = joules * factor * noise
                phases.append(_phase(key, label, phase_j))
                for step in range(1, evaluations + 1):
                    rise = 1 - np.exp(-3.5 * step / evaluations)
                    value = first + (last - first) * rise + spread * rng.normal(0, 0.004)
                    at_j = spent + phase_j * step / evaluations
                    row = {"order": order, "phase": label, "epochs_trained": order + 1}
                    curves.append(
                        {
                            **key,
                            **row,
                            "energy_j": at_j,
                            "val_score": min(value, 1.0),
                        }
                    )
                    order += 1
                spent += phase_j
            if len(PLANS.get(method, [])) > 1:
                phases.append(_phase(key, "inspect", 0.7 * factor))
            for label, joules in BOOKKEEPING.items():
                phases.append(_phase(key, label, joules * factor * noise))
            if seed == 1:
                phases.append(_phase(key, "lost", 3.0 * factor))
            energy_j = float(np.sum([phase["energy_j"] for phase in phases[before:]]))
            runs.append(_finished(key, source, energy_j, accuracy, order, seed))
    table = pd.DataFrame(runs).assign(metric=metric.name)
    evaluated = pd.DataFrame(curves, columns=[*_CURVE, "energy_j", "val_score"])
    for frame, column in ((table, "test_score"), (table, "val_score"), (evaluated, "val_score")):
        frame[column] = score(frame[column], metric)
    return StudyResults(
        study="digits",
        runs=table,
        curves=evaluated,
        phases=pd.DataFrame(phases),
        metric=metric,
        margin=metric.margin,
    )


def score(accuracy: Any, metric: Metric) -> Any:
    """What an accuracy becomes under a metric: as many margins better or worse than dense's."""
    if metric == ACCURACY:
        return accuracy
    own = metric.margin / metric.factor
    margins = (accuracy - FINAL["dense"]) / (ACCURACY.margin / ACCURACY.factor)
    return 90 * own + metric.sign * own * margins


_CURVE = ["arm", "method", "seed", "order", "phase", "epochs_trained"]


def _phase(key: dict[str, object], label: str, energy_j: float) -> dict[str, object]:
    nan = float("nan")
    return {
        **key,
        "phase": label,
        "energy_j": energy_j,
        "duration_s": energy_j / 15,
        "gpu_busy": nan,
    }


def _run(key: dict[str, object], source: str) -> dict[str, object]:
    nan = float("nan")
    return {
        "study": "digits",
        **key,
        "status": "done",
        "reason": "",
        "test_score": nan,
        "val_score": nan,
        "energy_j": 13.0,
        "uncertainty_j": 4.0,
        "energy_source": source,
        "energy_scope": "gpu" if source in ("counter", "sampled") else "cpu",
        "energy_device": "NVIDIA H200" if source in ("counter", "sampled") else "2 CPU threads",
        "energy_note": "" if source in ("counter", "sampled") else NOTE,
        "coverage": 0.998,
        "lost_j": 13.0,
        "overhead_j": 0.0,
        "co2e_kg": 13.0 / 3.6e6 * 0.475,
        "carbon_basis": "world average 475 g/kWh (IEA 2019), PUE 1.0",
        "duration_s": 1.0,
        "attempts": 2,
        "parameters": nan,
        "macs": nan,
        "dense_parameters": 71_434.0,
        "dense_macs": 1_204_224.0,
        "density": nan,
        "epochs_trained": 0,
        "device": "cpu",
        "host": "workstation",
        "started_at": "2025-03-01T10:00:00+00:00",
    }


def _finished(
    key: dict[str, object],
    source: str,
    energy_j: float,
    accuracy: float,
    epochs: int,
    seed: int,
) -> dict[str, object]:
    parameters, macs, density = SHARES.get(str(key["method"]), (1.0, 1.0, 1.0))
    return {
        **_run(key, source),
        "test_score": accuracy,
        "val_score": accuracy - 0.001,
        "energy_j": energy_j,
        "uncertainty_j": 0.3 * energy_j if source == "estimated" else 0.02 * energy_j,
        "lost_j": 3.0 if seed == 1 else 0.0,
        "overhead_j": 2.8,
        "co2e_kg": energy_j / 3.6e6 * 0.475,
        "duration_s": energy_j / 15,
        "attempts": 2 if seed == 1 else 1,
        "parameters": 71_434.0 * parameters,
        "macs": 1_204_224.0 * macs,
        "density": density,
        "epochs_trained": epochs,
    }
