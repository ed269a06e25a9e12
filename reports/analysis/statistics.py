"""Means, paired differences and paired ratios with Student-t intervals.

Student's t rather than a bootstrap, since studies have three to five seeds: there the
percentile bootstrap's nominal 95 % interval covers far less (Hesterberg 2015, "What
Teachers Should Know About the Bootstrap", The American Statistician 69:4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scipy.special import stdtrit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIDENCE = 0.95
NO_WIDTH = 1e-9
"""An interval with half this width, but for rounding, has none and shows nothing."""

Verdict = Literal["non-inferior", "worse", "inconclusive"]


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval, in the unit of the values it came from.

    `n` counts the values used; below two of them `low` and `high` are NaN.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def bounded(self) -> bool:
        """Whether there were values enough for an interval."""
        return self.n >= 2

    @property
    def half_width(self) -> float:
        """Half the interval's width; NaN without an interval."""
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> Interval:
        """The same interval in another unit; `factor` must be positive."""
        return Interval(self.mean * factor, self.low * factor, self.high * factor, self.n)


def t_interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean ± t(n−1) · s / √n, NaN values left out (Student 1908, Biometrika 6:1)."""
    known = [float(value) for value in values if not math.isnan(value)]
    n = len(known)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = math.fsum(known) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    variance = math.fsum((value - mean) ** 2 for value in known) / (n - 1)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval:
    """Student-t interval of value − baseline over shared seeds, in the values' unit.

    The paired t interval (Student 1908): what a seed does to both arms cancels.
    """
    shared = sorted(values.keys() & baseline.keys())
    return t_interval((values[seed] - baseline[seed] for seed in shared), confidence)


def paired_ratio(
    values: Mapping[int, float], baseline: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval:
    """Geometric mean of value / baseline over shared seeds, with its interval; no unit.

    exp of the t interval of log(value / baseline): a ratio's errors are symmetric on the
    log scale only (Fleming & Wallace 1986, CACM 29:3, for the geometric mean of ratios).
    Pairs without two positive values have no logarithm; they are left out and `n` shows it.
    """
    logs = [
        math.log(values[seed] / baseline[seed])
        for seed in sorted(values.keys() & baseline.keys())
        if values[seed] > 0 and baseline[seed] > 0
    ]
    log = t_interval(logs, confidence)
    return Interval(math.exp(log.mean), math.exp(log.low), math.exp(log.high), log.n)


def non_inferiority(difference: Interval, margin: float) -> Verdict:
    """Whether an accuracy is shown to lie no more than `margin` below the baseline's.

    "non-inferior" if the whole interval lies above −margin, "worse" if the whole of it lies below,
    else "inconclusive" (Piaggio et al. 2012, JAMA 308:24). Same unit for both arguments. An
    interval without width shows nothing: two or three seeds differ equally by chance where a
    test set is small.
    """
    if not difference.half_width > NO_WIDTH:
        return "inconclusive"
    if difference.low > -margin:
        return "non-inferior"
    if difference.high < -margin:
        return "worse"
    return "inconclusive"
