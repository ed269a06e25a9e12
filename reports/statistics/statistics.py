"""Means, paired differences and paired ratios with Student-t intervals.

Student's t rather than a bootstrap, since studies have three to five seeds: there the
percentile bootstrap's nominal 95 % interval covers far less (Hesterberg 2015, "What
Teachers Should Know About the Bootstrap", The American Statistician 69:4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from scipy.special import expit, logit, stdtrit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.settings.metric import Metric

CONFIDENCE = 0.95
NO_WIDTH = 1e-9
"""An interval with half this width, but for rounding, has none and shows nothing."""

_LARGEST_EXPONENT = 600.0
"""Beyond any number of joules and any ratio of them, and short of an overflow."""

Verdict = Literal["non-inferior", "worse", "inconclusive"]


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval, in the unit of the values it came from.

    `n` counts the values used; below two of them `low` and `high` are NaN, and where what sensors
    add is not known. `confidence` is the share of such intervals that contain the true value.
    """

    mean: float
    low: float
    high: float
    n: int
    confidence: float = CONFIDENCE

    @property
    def bounded(self) -> bool:
        """Whether there were values enough for an interval."""
        return self.n >= 2 and not math.isnan(self.low)

    @property
    def half_width(self) -> float:
        """Half the interval's width; NaN without an interval."""
        return (self.high - self.low) / 2

    def oriented(self, sign: int) -> Interval:
        """The same interval where higher is better: with `sign` -1 that of the negative values."""
        if sign > 0:
            return self
        return replace(self, mean=-self.mean, low=-self.high, high=-self.low)

    def scaled(self, factor: float) -> Interval:
        """The same interval in another unit; `factor` must be positive."""
        return replace(
            self, mean=self.mean * factor, low=self.low * factor, high=self.high * factor
        )

    def moved(self, by: float) -> Interval:
        """The same interval of values that are higher by this."""
        return replace(self, mean=self.mean + by, low=self.low + by, high=self.high + by)

    @property
    def exponential(self) -> Interval:
        """The interval of a ratio, if this is the interval of its logarithm."""
        mean, low, high = (
            math.exp(min(log, _LARGEST_EXPONENT)) for log in (self.mean, self.low, self.high)
        )
        return replace(self, mean=mean, low=low, high=high)


def t_interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean ± t(n−1) · s / √n, NaN values left out (Student 1908, Biometrika 6:1)."""
    known = [float(value) for value in values if not math.isnan(value)]
    n = len(known)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, confidence)
    mean = math.fsum(known) / n
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, confidence)
    variance = math.fsum((value - mean) ** 2 for value in known) / (n - 1)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, n, confidence)


def share_interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean of shares of 1, such as accuracies, with limits that never leave 0 … 1.

    The t interval of the mean, its standard error carried to the logit scale by the delta method
    and its ends carried back (the logit interval of Brown, Cai & DasGupta 2001, Statistical Science
    16:2, with the variance between values). Single values may be 0 or 1 and the mean is always
    inside; it is asymmetric near the ends, and in the middle nearly mean ± t · s / √n. NaN values
    are left out.

    Raises:
        ValueError: A value is no share of 1.
    """
    plain = t_interval(values, confidence)
    if plain.n and not 0 <= plain.mean <= 1:
        raise ValueError(f"a mean of {plain.mean:g} is no share of 1")
    if not (plain.half_width > 0 and 0 < plain.mean < 1):  # Without a width, or no interval.
        return plain
    centre = float(logit(plain.mean))
    half = plain.half_width / (plain.mean * (1 - plain.mean))
    return replace(plain, low=float(expit(centre - half)), high=float(expit(centre + half)))


def energy_interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean of energies, or of what else is never below 0, with limits that never fall below 0.

    The t interval of the mean, its standard error carried to the log scale by the delta method and
    its ends carried back: mean / f … mean · f with f = exp(t · s / √n / mean). NaN values are left
    out. Of values whose mean is not positive there is no logarithm: theirs is the plain t interval.
    """
    plain = t_interval(values, confidence)
    if not (plain.half_width > 0 and plain.mean > 0):
        return plain
    factor = math.exp(min(plain.half_width / plain.mean, _LARGEST_EXPONENT))
    return replace(plain, low=plain.mean / factor, high=plain.mean * factor)


def score_interval(
    values: Iterable[float], metric: Metric, confidence: float = CONFIDENCE
) -> Interval:
    """Mean of scores, with limits that never leave the metric's bounds.

    As `share_interval` between two bounds, as `energy_interval` above or below a single one, and
    the t interval where there is none.

    Raises:
        ValueError: The mean is beyond a bound of two.
    """
    low, high = metric.lowest, metric.highest
    if math.isfinite(low) and math.isfinite(high):
        shares = share_interval(((value - low) / (high - low) for value in values), confidence)
        return shares.scaled(high - low).moved(low)
    if math.isfinite(low):
        return energy_interval((value - low for value in values), confidence).moved(low)
    if math.isfinite(high):
        below = energy_interval((high - value for value in values), confidence)
        return below.oriented(-1).moved(high)
    return t_interval(values, confidence)


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
    return log.exponential


def non_inferiority(difference: Interval, margin: float) -> Verdict:
    """Whether a score, of which higher is better, is shown to be within `margin` of the baseline's.

    "non-inferior" if the whole interval is above −margin, "worse" if the whole of it is below,
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
