"""After how many repetitions something has paid for itself, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.wording.units import MISSING, significant

if TYPE_CHECKING:
    from reports.analysis.break_even import Payback

_LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


def repetitions(times: float) -> str:
    """A number of repetitions: "0.58", "1,250", "1.3 million"; "∞" without a limit."""
    if math.isinf(times):
        return "∞"
    # As it will be written, so that 999,999 is a million.
    rounded = float(f"{times:.3g}")
    for size, name in _LARGE:
        if rounded >= size:
            count = rounded / size
            return f"{significant(count)} {name}" if count < 1e6 else f"{times:.0e}"
    return f"{rounded:,.0f}" if rounded >= 1e3 else significant(times)


def limits(payback: Payback) -> str:
    """The interval of the number of repetitions; empty where there is none."""
    if math.isnan(payback.low):
        return ""
    return f"{repetitions(payback.low)} … {repetitions(payback.high)}"


def told(payback: Payback | None) -> str:
    """A whole answer: "5.27 (4.18 … 5.98)", "never, as large as dense", "undecided (about 40)"."""
    if payback is None:
        return MISSING
    why = f", {payback.why}" if payback.why else ""
    if payback.verdict == "after":
        return f"{repetitions(payback.times)} ({limits(payback)}){why}"
    about = "" if math.isnan(payback.times) else f" (about {repetitions(payback.times)})"
    return f"{payback.verdict}{about}{why}"
