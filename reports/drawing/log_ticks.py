"""Ticks on a logarithmic axis of joules or ratios, whether it spans a tenth or ten decades."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_EVEN = 3.5
"""Up to this ratio of the axis' ends ticks are evenly spaced."""
_DIGITS = ((12.0, (1.0, 2.0, 3.0, 5.0, 7.0)), (60.0, (1.0, 2.0, 5.0)))
"""Up to which ratio of the axis' ends ticks begin with which digits; then with 1 only."""


def set_log_ticks(axis: Axis, low: float, high: float, most_even: int = 4) -> None:
    """Two ticks at least, apart from each other, in plain figures.

    Args:
        axis: Already logarithmic.
        low: Its lower end, above zero.
        high: Its upper end.
        most_even: How many intervals there is room for where ticks are evenly spaced.
    """
    if high / low < _EVEN:
        axis.set_major_locator(MaxNLocator(most_even))
    else:
        digits = next((found for most, found in _DIGITS if high / low < most), (1.0,))
        axis.set_major_locator(LogLocator(10, digits, numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
