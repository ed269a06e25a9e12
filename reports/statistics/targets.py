"""Validation score as energy is spent, and the energy until an arm nears the baseline's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.statistics.energy_ratio import energy_ratio
from reports.statistics.once import once
from reports.statistics.statistics import Interval, energy_interval, score_interval, t_interval

if TYPE_CHECKING:
    from harness.settings.metric import Metric
    from reports.data import StudyResults


Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RunCurve:
    """One run's evaluations on validation data, in order.

    Attributes:
        energy_j: All energy spent on the run until each, ascending, shape (evaluations,).
        score: Of the network at that moment, shape (evaluations,).
        shaped: How many came before the network had its final shape, that is before its last
            pruning or masking.
    """

    energy_j: Array
    score: Array
    shaped: int

    def __len__(self) -> int:
        return len(self.energy_j)


Curves = dict[str, dict[int, RunCurve]]
"""By arm and seed."""


@once
def run_curves(results: StudyResults) -> Curves:
    """The curve of each finished run that was evaluated while its energy was known."""
    rows = results.of_finished(results.curves).dropna(subset=["energy_j", "val_score"])
    rows = rows.sort_values(["seed", "order"], kind="stable")
    searched = _search_epochs(results)
    found: Curves = {arm: {} for arm in results.finished_arms}
    for _, of_run in rows.groupby(["arm", "seed"], sort=False):
        arm, seed = str(of_run["arm"].iloc[0]), int(of_run["seed"].iloc[0])
        found[arm][seed] = RunCurve(
            of_run["energy_j"].to_numpy(dtype=float),
            of_run["val_score"].to_numpy(dtype=float),
            _shaped(of_run, searched.get((arm, seed))),
        )
    return {arm: seeds for arm, seeds in found.items() if seeds}


def _search_epochs(results: StudyResults) -> dict[tuple[str, int], float]:
    """Epochs trained when a run's network got its final shape, where it was recorded."""
    runs = results.finished
    if "search_epochs" not in runs:
        return {}
    known = runs.dropna(subset=["search_epochs"])
    return {
        (str(arm), int(seed)): float(epochs)
        for arm, seed, epochs in zip(
            known["arm"], known["seed"], known["search_epochs"], strict=True
        )
    }


def _shaped(of_run: pd.DataFrame, search_epochs: float | None) -> int:
    if search_epochs is not None:
        return int((of_run["epochs_trained"] <= search_epochs).sum())
    # Older results lack it, but no method changes the network within its last phase alone.
    other = np.flatnonzero((of_run["phase"] != of_run["phase"].iloc[-1]).to_numpy())
    return int(other[-1]) + 1 if len(other) else 0


def mean_curve(runs: Mapping[int, RunCurve], metric: Metric) -> pd.DataFrame:
    """For each evaluation the mean energy, and the mean score with its 95 % interval.

    Seeds are matched by the number of the evaluation, not by energy: they prune after the same
    epoch but not after the same joule, and a mean at equal joules would mix networks from before
    and after. It is counted from the start before a network has its final shape, and from the end
    after: a search may end in another epoch with another seed. Evaluations that a seed lacks in
    either part are left out.

    Args:
        runs: By seed; at least one.
        metric: What scores are.

    Returns:
        Columns `energy_j`, `val_score`, `val_score_low`, `val_score_high`, `n` and
        `final_shape`: whether every network had its final shape.
    """
    before = min(run.shaped for run in runs.values())
    after = min(len(run) - run.shaped for run in runs.values())
    places = [*range(before), *range(-after, 0)]
    energy_j = np.stack([run.energy_j[places] for run in runs.values()])
    score = np.stack([run.score[places] for run in runs.values()])
    means = [score_interval(column, metric) for column in score.T.tolist()]
    return pd.DataFrame(
        {
            "energy_j": energy_j.mean(axis=0),
            "val_score": [mean.mean for mean in means],
            "val_score_low": [mean.low for mean in means],
            "val_score_high": [mean.high for mean in means],
            "n": [mean.n for mean in means],
            "final_shape": [place < 0 for place in places],
        }
    )


def thinned(values: Array, count: int) -> npt.NDArray[np.int64]:
    """Indices of at most about `count` values that draw the same curve as all of them.

    The ends stay, and of each of `count` / 2 equal stretches its lowest and its highest value, so
    that no drop is lost.
    """
    if len(values) <= count:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), max(count // 2 - 1, 1)):
        kept |= {int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])}
    return np.array(sorted(kept))


SHARES = (0.90, 0.95, 0.99)
"""Of the validation score to be reached, where higher is better."""
# An accuracy is a count over samples: one that equals its target may miss it by a rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class TargetReached:
    """An arm on its way to one target.

    Attributes:
        arm: Its label.
        share: The target, as a share of `reference_score`.
        energy_j: Energy until it was reached, over the seeds that did.
        ratio: To the baseline's, over the seeds in which both did; None for the baseline itself.
        seeds: How many seeds were evaluated; of them `energy_j.n` reached it.
    """

    arm: str
    share: float
    energy_j: Interval
    ratio: Interval | None
    seeds: int


def shares_of(metric: Metric) -> tuple[float, ...]:
    """The targets, the easiest first; as far above the whole where lower is better: 1.1."""
    return SHARES if metric.higher_is_better else tuple(round(2 - share, 9) for share in SHARES)


def reference_score(results: StudyResults) -> float:
    """The validation score that counts as the whole: the study's, or the baseline's final mean.

    NaN without a baseline, and of scores that may be below 0, of which shares have no meaning.
    """
    arm = results.baseline_arm
    if arm is None or results.metric.lowest < 0:
        return math.nan
    if results.target_score is not None:
        return results.target_score / results.metric.factor
    return t_interval(results.by_seed(arm, "val_score").values()).mean


def joules_to(energy_j: Array, score: Array, level: float, sign: int = 1) -> float:
    """Energy at the first evaluation at a level of the score or better; NaN if there is none.

    Nothing is interpolated: no network between two evaluations was looked at.

    Args:
        energy_j: Until each evaluation, ascending.
        score: At each.
        level: To be reached.
        sign: The metric's: -1 where a lower score is better.
    """
    reached = np.flatnonzero(sign * score >= sign * level - _TOLERANCE)
    return float(energy_j[reached[0]]) if len(reached) else math.nan


@once
def energy_to_targets(results: StudyResults) -> list[TargetReached]:
    """Each arm and target; empty without a baseline to set the targets.

    Only evaluations of the network in its final shape count, since a network before its last
    pruning is not the one that the arm delivers; the energy is all that was spent until then.
    """
    reference, sign = reference_score(results), results.metric.sign
    if math.isnan(reference):
        return []
    curves, found = run_curves(results), []
    for share in shares_of(results.metric):
        reached = {
            arm: _by_seed(curves.get(arm, {}), share * reference, sign)
            for arm in results.finished_arms
        }
        base = str(results.baseline_arm)
        baseline = reached[base]
        found += [
            TargetReached(
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


def _by_seed(runs: dict[int, RunCurve], level: float, sign: int) -> dict[int, float]:
    """Energy to a level by seed, NaN if not reached; runs never evaluated there are left out."""
    return {
        seed: joules_to(run.energy_j[run.shaped :], run.score[run.shaped :], level, sign)
        for seed, run in runs.items()
        if run.shaped < len(run)
    }
