"""Differences and ratios of independent values, with Welch's t intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import stdtrit

from reports.analysis.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable


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
