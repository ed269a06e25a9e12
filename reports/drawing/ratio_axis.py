"""A logarithmic axis for ratios, with 1 among its ticks and plain numbers beside them."""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reports.wording.units import significant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

LEAST = 1.04
"""An axis reaches at least from 1 to so much on either side: less is no difference."""
_TICKS = 6
_EVEN = 4.0
"""Up to this ratio of its ends, an axis has ticks at even steps, as a linear one would."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_multiple(ratio: float) -> str:
    """A ratio in words: "0.56×"."""
    return f"{significant(ratio)}×" if math.isfinite(ratio) else significant(ratio)


def set_ratio_axis(axes: Axes, low: float, high: float, most: int = _TICKS) -> None:
    """Make the x axis one of ratios from `low` to `high` (above 0), 1 included, marked there."""
    low, high = min(low, 1 / LEAST), max(high, LEAST)
    room = (high / low) ** 0.05
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(FixedLocator(ratio_ticks(low / room, high * room, most)))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_minor_locator(NullLocator())


def ratio_ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """At most `most` round ratios between `low` and `high`, ascending; 1 is one of them."""
    rows = ([tick for tick in row if low <= tick <= high] for row in _rows(low, high))
    return next(row for row in rows if len(row) <= most)


def _rows(low: float, high: float) -> Iterator[Iterator[float]]:
    """Rows of round ratios, the finest first."""
    finest = math.floor(math.log10((high - low) / _TICKS))
    for power in range(finest, finest + 2) if high / low < _EVEN else ():
        for digit in (1, 2, 5):
            step = digit * 10.0**power
            yield (step * n for n in range(math.floor(low / step), math.ceil(high / step) + 1))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        yield (digit * 10.0**power for power in powers for digit in digits)
    for every in count(2):
        yield (10.0**power for power in powers if power % every == 0)


def _plain(ratio: float, _: int) -> str:
    """A tick's label: a plain number, or a power of ten where that would be long."""
    if 1e-4 <= ratio < 1e5:
        return f"{ratio:.6g}"
    return "10" + f"{math.log10(ratio):.0f}".translate(_RAISED)
