"""Small multiples: a panel an arm, the same scales in all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from reports.drawing import labels, style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from reports.drawing.marks import Marks

MOST = 12
"""More panels than this are no longer compared with each other."""
_LETTERS = {1: 76, 2: 42, 3: 28}
"""How many letters of a title fit on a line, by the number of columns."""


def chosen(arms: Sequence[str]) -> tuple[list[str], str]:
    """The arms that get a panel, and a sentence for the caption if there are more."""
    if len(arms) <= MOST:
        return list(arms), ""
    return list(arms[:MOST]), f"Shown are the first {MOST} of {len(arms)} arms. "


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
        titles: From an arm to what its title says beneath the arm's name; empty for nothing.
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
        arm: "\n".join(labels.wrapped(text, _LETTERS[columns]) for text in (arm, said) if text)
        for arm, said in titles.items()
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
