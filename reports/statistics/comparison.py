"""Two result sets of the same arms: how much each quantity changed from the first to the second.

Arms are matched by method and hyper-parameters, runs by seed: changes are paired differences and
ratios. Where two sets share fewer than two seeds, the intervals are Welch's, of independent values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from scipy.special import stdtrit

from reports.statistics.comparability import COLUMNS, barriers, execution, other_code
from reports.statistics.energy_ratio import Entered, SensorDoubt, sensor_doubt, widened
from reports.statistics.score_difference import (
    half_width_of_samples,
    score_difference,
    variance_of_samples,
)
from reports.statistics.statistics import (
    CONFIDENCE,
    Interval,
    paired_ratio,
    t_interval,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.results.final_test import FinalTest
    from harness.settings.metric import Metric
    from harness.settings.run_spec import RunSpec
    from reports.statistics.result_set import ArmRuns, ResultSet
    from reports.statistics.threshold import Quantity


Way = Literal["paired", "Welch"]


@dataclass(frozen=True)
class Change:
    """The change of one quantity of one arm, B against A.

    Attributes:
        quantity: Which.
        reasons: Why it is not comparable; then nothing below is known.
        found: B − A of a score, as its metric shows it, else B / A; None if not comparable.
        way: Paired by seed, or Welch's interval for runs that share fewer than two seeds.
        mean_a: Arithmetic mean over the runs of A that entered: a score, J, s or kg.
        mean_b: The same of B.
        n_a: How many runs of A entered.
        n_b: How many of B; as many if paired.
        doubt: What sensors may add to the ratio.
        samples: Size of the test set, if a score's interval allows for its samples; else 0.
    """

    quantity: Quantity
    reasons: tuple[str, ...]
    found: Interval | None = None
    way: Way = "paired"
    mean_a: float = math.nan
    mean_b: float = math.nan
    n_a: int = 0
    n_b: int = 0
    doubt: SensorDoubt = field(default_factory=SensorDoubt)
    samples: int = 0

    @property
    def relative(self) -> Interval | None:
        """Of a score likewise, else in percent of A: what a threshold is about."""
        if self.found is None or self.quantity == "score":
            return self.found
        return _in_percent(self.found)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval's ends in the same unit, after what sensors may add; NaN without any."""
        if self.found is None:
            return math.nan, math.nan
        found = self.found
        if self.quantity != "score":
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
    changes: Mapping[Quantity, Change]
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

    @property
    def metric(self) -> Metric:
        """What scores are; where B's are something else, they are not comparable."""
        return self.first.metric


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
    sizes = not found["score"]
    return ArmComparison(
        names=pair,
        first=a,
        second=b,
        changes={name: _change(name, a, b, reasons) for name, reasons in found.items()},
        standing=", ".join(sorted({*a.standings, *b.standings})),
        parameters=_size(a, b, "parameters") if sizes else math.nan,
        macs=_size(a, b, "macs") if sizes else math.nan,
        differences=(*_hyperparameters(a, b), *execution(a.spec, b.spec), *other_code(a, b)),
    )


def _change(quantity: Quantity, a: ArmRuns, b: ArmRuns, reasons: tuple[str, ...]) -> Change:
    if reasons:
        return Change(quantity, reasons)
    ours, theirs = _usable(quantity, a), _usable(quantity, b)
    shared = ours.keys() & theirs.keys()
    paired = len(shared) >= 2
    if paired:
        ours = {seed: ours[seed] for seed in shared}
        theirs = {seed: theirs[seed] for seed in shared}
    samples = 0
    if quantity == "score":
        found, samples = _of_score(a.tested(ours), b.tested(theirs), paired=paired)
        found = found.scaled(a.metric.factor)
    else:
        found = (
            paired_ratio(theirs, ours) if paired else welch_ratio(theirs.values(), ours.values())
        )
    return Change(
        quantity=quantity,
        reasons=(),
        found=found,
        way="paired" if paired else "Welch",
        mean_a=math.fsum(ours.values()) / len(ours),
        mean_b=math.fsum(theirs.values()) / len(theirs),
        n_a=len(ours),
        n_b=len(theirs),
        doubt=_doubt(quantity, a, b, ours, theirs),
        samples=samples,
    )


def _usable(quantity: Quantity, arm: ArmRuns) -> dict[int, float]:
    """Known values by seed; of a quantity that is divided, those that have a logarithm."""
    values = arm.by_seed(COLUMNS[quantity])
    if quantity == "score":
        return values
    return {seed: value for seed, value in values.items() if value > 0}


def _of_score(
    ours: Mapping[int, FinalTest], theirs: Mapping[int, FinalTest], *, paired: bool
) -> tuple[Interval, int]:
    """B − A in the metric's own unit, and the size of the test set if its samples count."""
    if paired:
        found = score_difference(theirs, ours)
        return found.interval(), found.samples if found.counts_samples else 0
    of_seeds = welch_difference(
        (run.score for run in theirs.values()), (run.score for run in ours.values())
    )
    samples, variance = variance_of_samples(theirs.values(), ours.values())
    if variance is None or not of_seeds.bounded:
        return of_seeds, 0
    half = math.hypot(of_seeds.half_width, half_width_of_samples(variance, samples))
    low, high = of_seeds.mean - half, of_seeds.mean + half
    return replace(of_seeds, low=low, high=high), samples


def _doubt(
    quantity: Quantity,
    a: ArmRuns,
    b: ArmRuns,
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
) -> SensorDoubt:
    if quantity not in ("energy", "co2e"):
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


def welch_difference(
    values: Iterable[float], others: Iterable[float], confidence: float = CONFIDENCE
) -> Interval:
    """Mean of `values` − mean of `others`, in their unit, NaN values left out.

    Unequal variances, degrees of freedom after Satterthwaite (Welch 1947, Biometrika 34:1/2). `n`
    is the smaller of the two counts; below two of either there is no interval.
    """
    ours, theirs = _known(values), _known(others)
    n = min(len(ours), len(theirs))
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, confidence)
    difference = math.fsum(ours) / len(ours) - math.fsum(theirs) / len(theirs)
    if n == 1:
        return Interval(difference, math.nan, math.nan, 1, confidence)
    half = _half_width(
        _squared_error(ours), len(ours), _squared_error(theirs), len(theirs), confidence
    )
    return Interval(difference, difference - half, difference + half, n, confidence)


def welch_ratio(
    values: Iterable[float], others: Iterable[float], confidence: float = CONFIDENCE
) -> Interval:
    """Geometric mean of `values` over that of `others`; no unit.

    exp of the interval of the difference of logs; what is not positive has none and is left out.
    """
    return welch_difference(_logs(values), _logs(others), confidence).exponential


def _half_width(ours: float, n: int, theirs: float, m: int, confidence: float) -> float:
    """Half the interval's width, from two squared standard errors and their counts."""
    together = ours + theirs
    if together == 0:
        return 0.0
    # As shares of their sum, whose squares do not vanish where the errors are tiny.
    freedom = 1 / ((ours / together) ** 2 / (n - 1) + (theirs / together) ** 2 / (m - 1))
    return float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(together)


def _squared_error(values: list[float]) -> float:
    """The squared standard error of the mean."""
    n = len(values)
    mean = math.fsum(values) / n
    return math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n


def _known(values: Iterable[float]) -> list[float]:
    return [float(value) for value in values if not math.isnan(value)]


def _logs(values: Iterable[float]) -> list[float]:
    return [math.log(value) for value in values if value > 0]


@dataclass(frozen=True)
class Pair:
    """An arm that both result sets have: its label in each."""

    first: str
    second: str

    @property
    def label(self) -> str:
        """The longer label, since an arm may need its settings to stand out in one set only."""
        return max((self.first, self.second), key=len)


def match(first: Mapping[str, RunSpec], second: Mapping[str, RunSpec]) -> list[Pair]:
    """The arms in both, in the order of the first.

    An arm is the same if its method, hyper-parameters and variant are: its label depends on what
    else a study holds. Failing that, arms of one label are taken for each other, as after a change
    of a hyper-parameter that nothing was swept over.
    """
    left = dict(second)
    found: dict[str, str] = {}
    for label, spec in first.items():
        same = [other for other, theirs in left.items() if _same(spec, theirs)]
        # An older set may lack a hyper-parameter that a newer one sweeps over.
        chosen = label if label in same else same[0] if len(same) == 1 else None
        if chosen is not None:
            found[label] = chosen
            del left[chosen]
    found |= {label: label for label in first if label not in found and label in left}
    return [Pair(label, found[label]) for label in first if label in found]


def _same(spec: RunSpec, other: RunSpec) -> bool:
    ours, theirs = spec.hyperparameters, other.hyperparameters
    return (spec.method, spec.variant) == (other.method, other.variant) and all(
        ours[key] == theirs[key] for key in ours.keys() & theirs.keys()
    )
