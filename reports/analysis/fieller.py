"""The confidence limits of a ratio of two means that were taken in pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import stdtrit

from reports.analysis.statistics import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence


def ratio_limits(
    above: Sequence[float], below: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Limits of mean(above) / mean(below), of which only values from 0 up have a meaning.

    The ratios r for which the t interval of above − r · below contains 0 (Fieller 1954, J. R.
    Statist. Soc. B 16:2): with a constant numerator, it over the two limits of the denominator.
    Where the denominator's own interval contains 0 there is no upper limit: that is infinite.

    Returns:
        The lower and the upper limit; NaN with fewer than two pairs, or where no ratio from 0 up
        is left.
    """
    n = len(above)
    if n < 2:
        return math.nan, math.nan
    mean_a, mean_b = math.fsum(above) / n, math.fsum(below) / n
    pairs = [(a - mean_a, b - mean_b) for a, b in zip(above, below, strict=True)]
    t2 = float(stdtrit(n - 1, (1 + confidence) / 2)) ** 2 / (n * (n - 1))
    # The ratios with square · r² − 2 · cross · r + constant ≤ 0.
    square = mean_b**2 - t2 * math.fsum(b * b for _, b in pairs)
    cross = mean_a * mean_b - t2 * math.fsum(a * b for a, b in pairs)
    constant = mean_a**2 - t2 * math.fsum(a * a for a, _ in pairs)
    root = math.sqrt(max(cross**2 - square * constant, 0.0))
    if square > 0:
        high = (cross + root) / square
        return (max((cross - root) / square, 0.0), high) if high >= 0 else (math.nan, math.nan)
    if constant <= 0:
        return 0.0, math.inf
    if cross + root == 0:
        return math.nan, math.nan
    return constant / (cross + root), math.inf
