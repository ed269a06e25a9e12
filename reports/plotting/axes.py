"""Axes that several figures use: logarithmic ones of joules or ratios, and a panel per arm."""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from reports.plotting import labels, style
from reports.text.units import significant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from reports.plotting.svg_ids import Marks


_LINEAR_BELOW = 3.5
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
    if high / low < _LINEAR_BELOW:
        axis.set_major_locator(MaxNLocator(most_even))
    else:
        digits = next((found for most, found in _DIGITS if high / low < most), (1.0,))
        axis.set_major_locator(LogLocator(10, digits, numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


MIN_LIMIT = 1.04
"""The least reach of an axis from 1 to either side: less is no difference."""
_TICKS = 6
_EVEN = 4.0
"""Up to this ratio of its ends, an axis has ticks at even steps, as a linear one would."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_multiple(ratio: float) -> str:
    """A ratio in words: "0.56×"."""
    return f"{significant(ratio)}×" if math.isfinite(ratio) else significant(ratio)


def set_ratio_axis(axes: Axes, low: float, high: float, most: int = _TICKS) -> None:
    """Make the x axis one of ratios from `low` to `high` (above 0), 1 included, marked there."""
    low, high = min(low, 1 / MIN_LIMIT), max(high, MIN_LIMIT)
    room = (high / low) ** 0.05
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(FixedLocator(ratio_ticks(low / room, high * room, most)))
    axes.xaxis.set_major_formatter(FuncFormatter(tick_label))
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


def tick_label(ratio: float, _: int) -> str:
    """A tick's label: a plain number, or a power of ten where that would be long."""
    if 1e-4 <= ratio < 1e5:
        return f"{ratio:.6g}"
    return "10" + f"{math.log10(ratio):.0f}".translate(_RAISED)


MAX_LIMIT = 12
"""More panels than this are no longer compared with each other."""
_LETTERS = {1: 76, 2: 42, 3: 28}
"""How many letters of a title fit on a line, by the number of columns."""


def chosen(arms: Sequence[str]) -> tuple[list[str], str]:
    """The arms that get a panel, and a sentence for the caption if there are more."""
    if len(arms) <= MAX_LIMIT:
        return list(arms), ""
    return list(arms[:MAX_LIMIT]), f"Shown are the first {MAX_LIMIT} of {len(arms)} arms. "


def panels(
    titles: Mapping[str, str],
    looks: Mapping[str, style.ArmStyle],
    marks: Marks,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    height_in: float,
    square: bool = False,
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel for each arm, not laid out yet.

    Args:
        titles: From an arm to the line below its name; may be empty.
        looks: How arms are drawn.
        marks: Gets every panel, as its arm's.
        title: Stands above all.
        xlabel: Stands below the lowest panels.
        ylabel: Stands left of the leftmost panels.
        height_in: Of a panel, in inches.
        square: Whether each panel shows a square of its own; else all share their axes.
    """
    count = len(titles)
    columns = style.fitting_columns(count if count < 4 else 2 if count == 4 else 3)
    texts = {
        arm: "\n".join(labels.wrapped(text, _LETTERS[columns]) for text in (arm, title) if text)
        for arm, title in titles.items()
    }
    rows = math.ceil(count / columns)
    lines = [text.count("\n") for text in texts.values()]
    titles_in = sum(0.13 * max(lines[n : n + columns]) for n in range(0, count, columns))
    figure = Figure(
        figsize=(style.width_in(), 0.85 + rows * height_in + titles_in),
        layout="compressed" if square else "constrained",
    )
    style.set_title(figure, title)
    shared = not square
    grid = figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).ravel()
    for empty in grid[count:]:
        empty.remove()
    found: dict[str, Axes] = dict(zip(texts, grid, strict=False))
    for number, (arm, axes) in enumerate(found.items()):
        axes.set_title(texts[arm], fontsize=8, color=looks[arm].ink, linespacing=1.1, pad=4)
        if number + columns >= count:
            axes.set_xlabel(xlabel)
            axes.tick_params(axis="x", labelbottom=True)
        if number % columns == 0:
            axes.set_ylabel(ylabel)
        marks.add(axes, arm)
    return figure, found
