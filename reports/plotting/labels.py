"""Names beside the data where there is room, else in a legend; and a layout that is frozen.

A frozen layout is the same to the last bit however often the figure is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from reports.plotting import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.text import Annotation

    from reports.plotting.svg_ids import Marks


_GAP = 6.0
_FAR = 13.0
_PADDING_PX = 1.5
# Corners first: straight beside a mean is the mean's own interval.
_DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
_HORIZONTAL: dict[int, Literal["left", "center", "right"]] = {1: "left", 0: "center", -1: "right"}
_VERTICAL: dict[int, Literal["bottom", "center", "top"]] = {1: "bottom", 0: "center", -1: "top"}

Corners = npt.NDArray[np.float64]
"""Boxes, one a row: left, lower, right and upper end."""


@dataclass(frozen=True)
class Anchor:
    """A name and the point, in data coordinates, that it names; `arm` is whose it is, if any."""

    text: str
    x: float
    y: float
    colour: tuple[float, float, float]
    arm: str = ""


def wrapped(name: str, width: int) -> str:
    """A long name on several lines, so that none of it is lost."""
    return style.wrapped(name, width)


def renderer_of(axes: Axes) -> RendererBase:
    """What measures text for these axes, in pixels of their figure."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure")
    return _renderer(figure)


def _renderer(figure: Figure) -> RendererBase:
    """The same one as long as the figure keeps its size, so that it measures each text once."""
    canvas: Any = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):
        canvas = FigureCanvasAgg(figure)
    renderer: RendererBase = canvas.get_renderer()
    return renderer


def place(
    axes: Axes,
    anchors: Sequence[Anchor],
    obstacles: Sequence[Bbox],
    marks: Marks | None = None,
) -> bool:
    """Write every name beside its point, or none at all if one finds no free place.

    `obstacles` are boxes in display coordinates. The layout must have been drawn before,
    and must not move afterwards.
    """
    renderer = renderer_of(axes)
    inside = axes.get_window_extent(renderer)
    taken = _corners(obstacles)
    written: list[Annotation] = []
    for anchor in anchors:
        label = axes.annotate(
            anchor.text,
            (anchor.x, anchor.y),
            (_GAP, _GAP),
            textcoords="offset points",
            color=anchor.colour,
            fontsize=8.5,
            linespacing=1.1,
        )
        label.set_in_layout(False)
        written.append(label)
        for gap in (_GAP, _FAR):
            box = _first_free(label, gap, inside, taken, renderer)
            if box is not None:
                taken = np.concatenate([taken, _corners([box])])
                break
        else:
            for each in written:
                each.remove()
            return False
    for anchor, label in zip(anchors, written, strict=True):
        if marks is not None and anchor.arm:
            marks.add(label, anchor.arm)
    return True


def _corners(boxes: Sequence[Bbox]) -> Corners:
    """The left, lower, right and upper end of each box, a row per box."""
    ends = np.array([box.extents for box in boxes], dtype=float).reshape(-1, 2, 2)
    return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)


def _first_free(
    label: Annotation, gap: float, inside: Bbox, taken: Corners, renderer: RendererBase
) -> Bbox | None:
    """Move a label round its point until it overlaps nothing; its box, or None."""
    for dx, dy in _DIRECTIONS:
        label.set_position((dx * gap, dy * gap * (0.7 if dx else 1)))
        label.set_horizontalalignment(_HORIZONTAL[dx])
        label.set_verticalalignment(_VERTICAL[dy])
        box = label.get_window_extent(renderer).padded(_PADDING_PX)
        within = inside.x0 <= box.x0 and box.x1 <= inside.x1
        within = within and inside.y0 <= box.y0 and box.y1 <= inside.y1
        if within and not _overlaps(box, taken):
            return box
    return None


def _overlaps(box: Bbox, taken: Corners) -> bool:
    left, low, right, high = taken.T
    beside = (box.x1 < left) | (right < box.x0) | (box.y1 < low) | (high < box.y0)
    return not beside.all()


def legend_below(figure: Figure, handles: Sequence[Line2D | Patch], names: Sequence[str]) -> None:
    """A legend under the axes in as many columns as fit; the figure grows to hold it."""
    figure.set_layout_engine("constrained")
    texts = [wrapped(name, 40) for name in names]
    for columns in range(min(5, len(texts)), 0, -1):
        legend = figure.legend(
            list(handles), texts, loc="outside lower left", ncols=columns, columnspacing=1.4
        )
        box = legend.get_window_extent(renderer_of(figure.axes[0]))
        if box.width <= figure.bbox.width or columns == 1:
            figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
            break
        legend.remove()
    freeze(figure)


def freeze(figure: Figure) -> None:
    """Lay the figure out once, and keep that layout while labels are placed and saved."""
    engine = figure.get_layout_engine()
    if engine is not None:
        # Without a canvas of its own the layout would make a new renderer each time it asks.
        _renderer(figure)
        with style.texts_laid_out_once():
            engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.apply_aspect()
    settle(figure)


DECIMALS = 5
"""Of a figure's width or height; a tenth of the finest dot of print."""


def settle(figure: Figure) -> None:
    """Round the places of all axes, once they are laid out.

    The solver of constrained layouts adds up in an order that differs from run to run; what is off
    by the last bit gets another name in an SVG file.
    """
    for axes in figure.axes:
        corners = axes.get_position().get_points().round(DECIMALS)
        axes.set_position(Bbox(corners))
        # Placing takes axes out of later layouts, such as one that makes room for a legend.
        axes.set_in_layout(True)
