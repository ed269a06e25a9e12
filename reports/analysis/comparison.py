"""Two result sets of the same arms: how much each quantity changed from the first to the second."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reports.analysis.comparability import COLUMNS, barriers, execution, other_code
from reports.analysis.energy_ratio import Entered, SensorDoubt, sensor_doubt, widened
from reports.analysis.matching import match
from reports.analysis.statistics import (
    Interval,
    paired_difference,
    paired_ratio,
    t_interval,
)
from reports.analysis.welch import welch_difference, welch_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        doubt: What sensors may add to the ratio.
    """

    metric: Metric
    reasons: tuple[str, ...]
    found: Interval | None = None
    way: Way = "paired"
    mean_a: float = math.nan
    mean_b: float = math.nan
    n_a: int = 0
    n_b: int = 0
    doubt: SensorDoubt = field(default_factory=SensorDoubt)

    @property
    def relative(self) -> Interval | None:
        """In percentage points for accuracy, else in percent of A: what a threshold is about."""
        if self.found is None or self.metric == "accuracy":
            return self.found
        return _in_percent(self.found)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's ends in the same unit, after what sensors may add; NaN without any."""
        if self.found is None:
            return math.nan, math.nan
        found = self.found
        if self.metric != "accuracy":
            found = _in_percent(widened(found, self.doubt.share))
        return found.low, found.high


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
        doubt=_doubt(metric, a, b, ours, theirs),
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


def _doubt(
    metric: Metric,
    a: ArmRuns,
    b: ArmRuns,
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
) -> SensorDoubt:
    if metric not in ("energy", "co2e"):
        return SensorDoubt()
    entered = []
    for arm, seeds in ((b, theirs), (a, ours)):
        energy_j = {seed: j for seed, j in arm.by_seed("energy_j").items() if seed in seeds}
        entered.append(Entered.of(arm.finished, arm.attempts, energy_j))
    return sensor_doubt(*entered)


def _in_percent(ratio: Interval) -> Interval:
    mean, low, high = ((value - 1) * 100 for value in (ratio.mean, ratio.low, ratio.high))
    return Interval(mean, low, high, ratio.n)


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
