"""How much energy an arm needs to come near the baseline's accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports.analysis.curves import Array, RunCurve, run_curves
from reports.analysis.energy_ratio import energy_ratio
from reports.analysis.once import once
from reports.analysis.statistics import Interval, energy_interval, share_interval

if TYPE_CHECKING:
    from reports.data import StudyResults

SHARES = (0.90, 0.95, 0.99)
"""Of the baseline's final validation accuracy."""
# Accuracies are counts over samples: one that equals its target may miss it by a rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Reached:
    """An arm on its way to one target.

    Attributes:
        arm: Its label.
        share: The target, as a share of the baseline's final validation accuracy.
        energy_j: Energy until it was reached, over the seeds that did.
        ratio: To the baseline's, over the seeds in which both did; None for the baseline itself.
        seeds: How many seeds were evaluated; of them `energy_j.n` reached it.
    """

    arm: str
    share: float
    energy_j: Interval
    ratio: Interval | None
    seeds: int


def reference_accuracy(results: StudyResults) -> float:
    """The baseline's final validation accuracy, its mean over seeds; NaN without a baseline."""
    arm = results.baseline_arm
    return share_interval(results.by_seed(arm, "val_accuracy").values()).mean if arm else math.nan


def joules_to(energy_j: Array, accuracy: Array, level: float) -> float:
    """Energy at the first evaluation at or above a level of accuracy; NaN if there is none.

    Nothing is interpolated: no network between two evaluations was looked at.
    """
    above = np.flatnonzero(accuracy >= level - _TOLERANCE)
    return float(energy_j[above[0]]) if len(above) else math.nan


@once
def energy_to_targets(results: StudyResults) -> list[Reached]:
    """Each arm and target of `SHARES`; empty without a baseline to set the targets.

    Only evaluations of the network in its final shape count, since a network before its last
    pruning is not the one that the arm delivers; the energy is all that was spent until then.
    """
    reference = reference_accuracy(results)
    if math.isnan(reference):
        return []
    curves, found = run_curves(results), []
    for share in SHARES:
        reached = {
            arm: _by_seed(curves.get(arm, {}), share * reference) for arm in results.finished_arms
        }
        base = str(results.baseline_arm)
        baseline = reached[base]
        found += [
            Reached(
                arm=arm,
                share=share,
                energy_j=energy_interval(joules.values()),
                ratio=None
                if joules is baseline
                else energy_ratio(results, arm, base, joules, baseline),
                seeds=len(joules),
            )
            for arm, joules in reached.items()
        ]
    return found


def _by_seed(runs: dict[int, RunCurve], level: float) -> dict[int, float]:
    """Energy to a level by seed, NaN where it was not reached; runs that cannot tell left out."""
    return {
        seed: joules_to(run.energy_j[run.shaped :], run.accuracy[run.shaped :], level)
        for seed, run in runs.items()
        if run.shaped < len(run)
    }
