"""A ratio of energies as people say it: "1.34× less"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.wording.units import MISSING, significant

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval

_HUGE = 1e5
"""From here on digits are counted, not read."""


def times(ratio: Interval) -> str:
    """0.746 is "1.34× less", 1.2 is "1.20× more"; a dash where nothing is known."""
    if not math.isfinite(ratio.mean):
        return MISSING
    factor = _shown(max(ratio.mean, 1 / ratio.mean))
    if factor == "1.00":
        return "equal"
    return f"{factor}× {'less' if ratio.mean < 1 else 'more'}"


def times_interval(ratio: Interval) -> str:
    """The interval of `times`, lowest first; empty where there is none.

    On the other side of 1 the factor is below 1: "1.05× less", 0.97 … 1.14.
    """
    if not ratio.bounded:
        return ""
    ends = [ratio.low, ratio.high]
    if ratio.mean < 1:
        ends = [1 / end if end > 0 else math.inf for end in reversed(ends)]
    return " … ".join(map(_shown, ends))


def _shown(factor: float) -> str:
    return significant(factor) if 1e-3 < factor < _HUGE or math.isinf(factor) else f"{factor:.0e}"
