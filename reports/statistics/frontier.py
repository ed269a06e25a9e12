"""Energy at matched score and score at matched energy, read off each method's frontier.

A method at several levels of pruning, or dense training at several lengths and widths, is a line in
the plane of energy and score. Where it crosses the baseline's score, one may ask for how much
energy it gets there; where it crosses the baseline's energy, for which score. Between two
levels log energy is taken to be linear in the score; beyond the last level nothing is known. A
frontier consists of the levels on the method's Pareto front.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from reports.statistics.arm_groups import arm_groups
from reports.statistics.energy_ratio import doubt_in, widened
from reports.statistics.once import once
from reports.statistics.statistics import Interval, t_interval

if TYPE_CHECKING:
    from reports.data import StudyResults


Status = Literal["reached", "bound", "not reached"]
BySeed = Mapping[int, float]
# Dense training made shorter, or of a share of the widths: no ticket, no search.
_LENGTHS, _WIDTHS = "dense_short", "small_dense"


@dataclass(frozen=True)
class Crossing:
    """Where a frontier crosses a target.

    Attributes:
        status: "reached" where two levels enclose the target; "bound" where every level is beyond
            it, so that the value of the nearest is a bound; "not reached" where none gets there.
        value: The other coordinate there, with its interval; NaN where it is not reached.
        between: The levels (arms) that enclose it; one where the target is met or is a bound.
    """

    status: Status
    value: Interval
    between: tuple[str, ...] = ()


@dataclass(frozen=True)
class SparsityLevel:
    """One arm against the baseline, by seed, over the seeds that all levels share.

    Attributes:
        arm: Its label.
        log_ratio: Logarithm of its energy over the baseline's.
        difference: Its score minus the baseline's, as the metric shows it: percentage points.
    """

    arm: str
    log_ratio: BySeed
    difference: BySeed

    @property
    def place(self) -> tuple[float, float]:
        """Mean log ratio and mean difference."""
        return _mean(self.log_ratio), _mean(self.difference)


@dataclass(frozen=True)
class Frontier:
    """A method's levels against the baseline, paired by seed.

    Attributes:
        name: The method, as its arms are labelled without their level; the baseline's own label for
            the dense frontier.
        levels: All of them, by energy.
        front: The arms of those that none of the others dominates, by energy.
        energy: Energy as a ratio to the baseline's, where the frontier has the baseline's score.
        difference: Score minus the baseline's, as the metric shows it, where the frontier has the
            baseline's energy.
        best: The difference in score of its best level, likewise.
    """

    name: str
    levels: tuple[SparsityLevel, ...]
    front: tuple[str, ...]
    energy: Crossing
    difference: Crossing
    best: Interval

    @property
    def arms(self) -> tuple[str, ...]:
        """The labels of its levels."""
        return tuple(level.arm for level in self.levels)


@once
def frontiers(results: StudyResults) -> list[Frontier]:
    """Every method's frontier, the dense one first; empty without a finished baseline."""
    baseline = results.baseline_arm
    if baseline is None or baseline not in results.finished_arms:
        return []
    found = []
    for name, arms in _grouped(results, baseline).items():
        levels = _levels(results, arms, baseline)
        if levels:
            found.append(_frontier(results, name, levels, baseline))
    return found


def _grouped(results: StudyResults, baseline: str) -> dict[str, tuple[str, ...]]:
    """The arms of each frontier, by its name."""
    others = [arm for arm in results.finished_arms if arm != baseline]
    dense = [arm for arm in others if _is_dense(results, arm)]
    grouped = {baseline: (baseline, *dense)}
    for group in arm_groups(arm for arm in others if arm not in dense):
        grouped[group.name] = group.arms
    return grouped


def _is_dense(results: StudyResults, arm: str) -> bool:
    """Whether an arm is dense training, of another length or of a share of the widths.

    `small_dense` of a ticket's widths is not: what it cost to find them is not counted.
    """
    runs = results.runs[results.runs["arm"] == arm]
    method = runs["method"].iloc[0]
    return bool(
        method == _LENGTHS
        or (method == _WIDTHS and "share" in runs and pd.notna(runs["share"]).all())
    )


def _levels(results: StudyResults, arms: Sequence[str], baseline: str) -> list[SparsityLevel]:
    """The arms over the seeds that they and the baseline have in common, by mean energy."""
    energy = {arm: results.by_seed(arm, "energy_j") for arm in (*arms, baseline)}
    score = {arm: results.by_seed(arm, "test_score") for arm in (*arms, baseline)}
    known = [
        {seed for seed, joules in energy[arm].items() if joules > 0}
        & {seed for seed, value in score[arm].items() if math.isfinite(value)}
        for arm in energy
    ]
    seeds = sorted(set.intersection(*known))
    if not seeds:
        return []
    levels = [
        SparsityLevel(
            arm,
            {s: math.log(energy[arm][s] / energy[baseline][s]) for s in seeds},
            {s: results.metric.factor * (score[arm][s] - score[baseline][s]) for s in seeds},
        )
        for arm in arms
    ]
    return sorted(levels, key=lambda level: level.place)


def _frontier(
    results: StudyResults, name: str, levels: Sequence[SparsityLevel], baseline: str
) -> Frontier:
    by_name = {level.arm: level for level in levels}
    sign = results.metric.sign
    places = {each.arm: (each.place[0], sign * each.place[1]) for each in levels}
    front = [by_name[arm] for arm in pareto_front(places)]
    # Equal points do not dominate each other, and no line leads from one to the other.
    front = [each for n, each in enumerate(front) if not n or each.place != front[n - 1].place]
    best = max(levels, key=lambda level: places[level.arm][1])
    log = crossing([(each.arm, each.difference, each.log_ratio) for each in front], sign)
    # Between two levels the ratio is theirs, so that it may be off by no more than the worse of the
    # two is; the baseline is itself.
    doubts = [
        doubt_in(results, arm, baseline, by_name[arm].log_ratio).share
        for arm in log.between
        if arm != baseline
    ]
    doubt = max(doubts, key=lambda share: math.inf if math.isnan(share) else share, default=0.0)
    return Frontier(
        name=name,
        levels=tuple(levels),
        front=tuple(level.arm for level in front),
        energy=Crossing(log.status, widened(log.value.exponential, doubt), log.between),
        difference=crossing(
            [(each.arm, each.log_ratio, each.difference) for each in reversed(front)], -1
        ),
        best=t_interval(best.difference.values()),
    )


def crossing(path: Sequence[tuple[str, BySeed, BySeed]], sign: int = 1) -> Crossing:
    """The mean of `y` where the mean of `x` is 0, on straight lines between neighbours of a path.

    Both means move with the seeds, so each seed counts by what it does to the answer: with the
    levels a and b on either side, at the share w of the way, and the slope k of y over x between
    them, seed s counts as y(s) − k · x(s) at w. The mean of that is the answer itself, and its
    Student-t interval is the delta method's for an inverse interpolation.

    Args:
        path: From each level its name, `x` and `y`, by seed; `sign` · x rises along it, and what
            has it above 0 has reached the target.
        sign: -1 where less of `x` is better.
    """
    nothing = Interval(math.nan, math.nan, math.nan, len(path[0][1]))
    places = [sign * _mean(x) for _, x, _ in path]
    after = next((n for n, place in enumerate(places) if place >= 0), None)
    if after is None:
        return Crossing("not reached", nothing)
    arm, x, y = path[after]
    if after == 0:
        met = places[after] == 0
        return Crossing("reached" if met else "bound", t_interval(y.values()), (arm,))
    before, x_before, y_before = path[after - 1]
    share = places[after - 1] / (places[after - 1] - places[after])
    slope = (_mean(y) - _mean(y_before)) / (_mean(x) - _mean(x_before))
    values = (
        (1 - share) * (y_before[s] - slope * x_before[s]) + share * (y[s] - slope * x[s]) for s in y
    )
    return Crossing("reached", t_interval(values), (before, arm))


def _mean(values: BySeed) -> float:
    return math.fsum(values.values()) / len(values)


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names of the points that none dominates, by ascending cost.

    One point dominates another if it costs no more and is worth no less, and is better in one of
    the two; equal points do not dominate each other. Points with a NaN are left out.

    Args:
        points: From a name to its cost and its worth, such as energy and a score of which
            higher is better.
    """
    known = sorted(
        (cost, -worth, name)
        for name, (cost, worth) in points.items()
        if not (math.isnan(cost) or math.isnan(worth))
    )
    front: list[str] = []
    best: tuple[float, float] | None = None
    for cost, loss, name in known:
        if best is None or loss < best[1] or (cost, loss) == best:
            best = (cost, loss)
            front.append(name)
    return front
