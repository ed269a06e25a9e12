"""A layout that is the same to the last bit whenever it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
