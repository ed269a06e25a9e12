"""Two result sets of the same arms: how much each quantity changed from the first to the second."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from reports.analysis.comparability import COLUMNS, barriers, execution, other_code
from reports.analysis.concurrency import threads_doubt
from reports.analysis.matching import match
from reports.analysis.statistics import (
    Interval,
    paired_difference,
    paired_ratio,
    t_interval,
)
from reports.analysis.welch import welch_difference, welch_ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.threshold import Metric
    from reports.analysis.matching import Pair
    from reports.analysis.result_set import ArmRuns, ResultSet

Way = Literal["paired", "Welch"]


@dataclass(frozen=True)
class Change:
    """What became of one quantity of one arm, B against A.

    Attributes:
        metric: Which.
        reasons: Why it is not comparable; then nothing below is known.
        found: B − A in percentage points for accuracy, else B / A; None if not comparable.
        way: Paired by seed, or Welch's interval for runs that share fewer than two seeds.
        mean_a: Arithmetic mean over the runs of A that entered: a share of 1, J, s or kg.
        mean_b: The same of B.
        n_a: How many runs of A entered.
        n_b: How many of B; as many if paired.
        gain: What sensors of different boards may add to the ratio, as a share of it (95 %);
            0 where the same boards measured both, NaN if unknown.
        blur: What borders, gaps and aliasing may add, in the same way.
    """

    metric: Metric
    reasons: tuple[str, ...]
    found: Interval | None = None
    way: Way = "paired"
    mean_a: float = math.nan
    mean_b: float = math.nan
    n_a: int = 0
    n_b: int = 0
    gain: float = 0.0
    blur: float = 0.0

    @property
    def relative(self) -> Interval | None:
        """In percentage points for accuracy, else in percent of A: what a threshold is about."""
        if self.found is None or self.metric == "accuracy":
            return self.found
        found = self.found
        mean, low, high = ((ratio - 1) * 100 for ratio in (found.mean, found.low, found.high))
        return Interval(mean, low, high, found.n)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's ends in the same unit, after what sensors may add; NaN without any."""
        if self.found is None:
            return math.nan, math.nan
        low, high = self.found.low, self.found.high
        if self.metric == "accuracy":
            return low, high
        wider = 1 + math.hypot(self.gain, self.blur)
        return (low / wider - 1) * 100, (high * wider - 1) * 100


@dataclass(frozen=True, eq=False)
class ArmComparison:
    """One arm in both result sets.

    Attributes:
        names: What it is called in each.
        first: Its runs in A.
        second: Its runs in B.
        changes: By quantity.
        standing: What its energy is worth: "measured", "estimated", "simulated"; several words if
            that differs, and the energy is not comparable.
        parameters: Parameters of the final network, B / A, over means; NaN if not comparable.
        macs: The same of its multiply-accumulate operations.
        differences: Hyper-parameters and ways of execution that differ, and that the changes
            therefore include.
    """

    names: Pair
    first: ArmRuns
    second: ArmRuns
    changes: Mapping[Metric, Change]
    standing: str
    parameters: float
    macs: float
    differences: tuple[str, ...]

    @property
    def label(self) -> str:
        """What to call it."""
        return self.names.label


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two result sets, arm by arm.

    Attributes:
        first: A.
        second: B.
        arms: The arms in both, in A's order.
        only_first: Labels of the arms that only A has.
        only_second: Labels of the arms that only B has.
    """

    first: ResultSet
    second: ResultSet
    arms: tuple[ArmComparison, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare(first: ResultSet, second: ResultSet) -> Comparison:
    """Compare every arm that both result sets have."""
    pairs = match(first.specs, second.specs)
    return Comparison(
        first=first,
        second=second,
        arms=tuple(_arm(pair, first, second) for pair in pairs),
        only_first=tuple(a for a in first.specs if a not in {pair.first for pair in pairs}),
        only_second=tuple(b for b in second.specs if b not in {pair.second for pair in pairs}),
    )


def _arm(pair: Pair, first: ResultSet, second: ResultSet) -> ArmComparison:
    a, b = first.arm(pair.first), second.arm(pair.second)
    found = barriers(a, b)
    sizes = not found["accuracy"]
    return ArmComparison(
        names=pair,
        first=a,
        second=b,
        changes={metric: _change(metric, a, b, reasons) for metric, reasons in found.items()},
        standing=", ".join(sorted({*a.standings, *b.standings})),
        parameters=_size(a, b, "parameters") if sizes else math.nan,
        macs=_size(a, b, "macs") if sizes else math.nan,
        differences=(*_hyperparameters(a, b), *execution(a.spec, b.spec), *other_code(a, b)),
    )


def _change(metric: Metric, a: ArmRuns, b: ArmRuns, reasons: tuple[str, ...]) -> Change:
    if reasons:
        return Change(metric, reasons)
    ours, theirs = _usable(metric, a), _usable(metric, b)
    shared = ours.keys() & theirs.keys()
    paired = len(shared) >= 2
    if paired:
        ours = {seed: ours[seed] for seed in shared}
        theirs = {seed: theirs[seed] for seed in shared}
    return Change(
        metric=metric,
        reasons=(),
        found=_interval(metric, ours, theirs, paired=paired),
        way="paired" if paired else "Welch",
        mean_a=math.fsum(ours.values()) / len(ours),
        mean_b=math.fsum(theirs.values()) / len(theirs),
        n_a=len(ours),
        n_b=len(theirs),
        gain=_gain(a, b, ours, theirs) if metric in ("energy", "co2e") else 0.0,
        blur=_blur(a, b) if metric in ("energy", "co2e") else 0.0,
    )


def _usable(metric: Metric, arm: ArmRuns) -> dict[int, float]:
    """Known values by seed; of a quantity that is divided, those that have a logarithm."""
    values = arm.by_seed(COLUMNS[metric])
    if metric == "accuracy":
        return values
    return {seed: value for seed, value in values.items() if value > 0}


def _interval(
    metric: Metric, ours: Mapping[int, float], theirs: Mapping[int, float], *, paired: bool
) -> Interval:
    if metric == "accuracy":
        if paired:
            return paired_difference(theirs, ours).scaled(100)
        return welch_difference(theirs.values(), ours.values()).scaled(100)
    if paired:
        return paired_ratio(theirs, ours)
    return welch_ratio(theirs.values(), ours.values())


def _gain(a: ArmRuns, b: ArmRuns, ours: Collection[int], theirs: Collection[int]) -> float:
    """What the gain errors of sensors may add to B / A, as a share of it (95 %).

    A board's own is fixed (arXiv 2312.02741: about ±5 %), so that it cancels as far as both arms
    were measured by the same boards; two boards of one machine share none. Each board weighs by how
    much more often B's runs were on it than A's, and boards add up in quadrature.
    """
    weights: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for arm, seeds, sign in ((a, ours, -1), (b, theirs, 1)):
        boards = arm.boards
        for seed in seeds:
            weights[boards[seed]] += Fraction(sign, len(seeds))
    moved = math.sqrt(sum(weight**2 for weight in weights.values()))
    own, other = (_share(arm, "gain_j", unknown=math.nan) for arm in (a, b))
    return math.hypot(own, other) / math.sqrt(2) * moved if moved else 0.0


def _blur(a: ArmRuns, b: ArmRuns) -> float:
    """What borders, gaps and aliasing may add to B / A, as a share of it (95 %).

    Of estimates also what unequal numbers of busy threads may.

    Borders differ from run to run, so that their mean is the better known; gaps and aliasing may be
    alike in all.
    """
    found = threads_doubt(a.finished, b.finished)
    for arm in (a, b):
        runs = max(len(arm.by_seed("energy_j")), 1)
        alike = _share(arm, "gap_j") + _share(arm, "aliasing_j")
        found = math.hypot(found, alike, _share(arm, "border_j") / math.sqrt(runs))
    return found


def _share(arm: ArmRuns, column: str, unknown: float = 0.0) -> float:
    """A part of the uncertainty as a share of the energy, on average; `unknown` without any."""
    part_j, energy_j = arm.by_seed(column), arm.by_seed("energy_j")
    shares = [
        part_j[seed] / drawn_j
        for seed, drawn_j in energy_j.items()
        if seed in part_j and drawn_j > 0
    ]
    return math.fsum(shares) / len(shares) if shares else unknown


def _size(a: ArmRuns, b: ArmRuns, column: str) -> float:
    """Mean of B over mean of A."""
    means = [t_interval(arm.by_seed(column).values()).mean for arm in (b, a)]
    return means[0] / means[1] if means[1] else math.nan


def _hyperparameters(a: ArmRuns, b: ArmRuns) -> list[str]:
    ours, theirs = a.spec.hyperparameters, b.spec.hyperparameters
    return [
        f"{key} differs ({ours.get(key, 'absent')} in A; {theirs.get(key, 'absent')} in B)"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key, "absent") != theirs.get(key, "absent")
    ]
