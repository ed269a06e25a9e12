"""Things that last: bands over a stretch of time, and values that hold from one moment on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.patches import PathPatch
from matplotlib.path import Path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]


def spans(axes: Axes, start: Array, end: Array, **look: Any) -> PathPatch:
    """Bands from each start to each end as high as the axes, as one shape; touching ones merge."""
    apart = _apart(start, end)
    start, end = start[np.insert(apart, 0, True)], end[np.append(apart, True)]
    bottom, top = np.zeros(len(start)), np.ones(len(start))
    corners = np.stack(
        [
            np.stack([start, bottom], axis=1),
            np.stack([start, top], axis=1),
            np.stack([end, top], axis=1),
            np.stack([end, bottom], axis=1),
            np.stack([start, bottom], axis=1),
        ],
        axis=1,
    ).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(start)
    shape = PathPatch(Path(corners, codes), transform=axes.get_xaxis_transform(), **look)
    axes.add_patch(shape)
    return shape


def steps(start: Array, end: Array, *values: Array) -> tuple[Array, ...]:
    """The points of lines that are level from each start to each end, and broken at holes.

    Returns:
        Moments, then for each of `values` what it is at these; NaN breaks the line.
    """
    x, *lines = (np.repeat(each, 2) for each in (start, *values))
    x[1::2] = end
    holes = 2 * (np.flatnonzero(_apart(start, end)) + 1)
    return tuple(np.insert(each, holes, np.nan) for each in (x, *lines))


def under(axes: Axes, x: Array, y: Array, **look: Any) -> PathPatch:
    """The area between a line, which NaN breaks, and zero, as one shape."""
    corners, codes = [], []
    for part in np.split(np.arange(len(x)), np.flatnonzero(np.isnan(x))):
        points = [(x[n], y[n]) for n in part if not np.isnan(x[n])]
        corners += [(points[0][0], 0.0), *points, (points[-1][0], 0.0), (points[0][0], 0.0)]
        codes += [Path.MOVETO, *[Path.LINETO] * (len(points) + 1), Path.CLOSEPOLY]
    shape = PathPatch(Path(corners, codes), **look)
    axes.add_patch(shape)
    return shape


def _apart(start: Array, end: Array) -> npt.NDArray[np.bool_]:
    """Whether there is a hole after each stretch but the last."""
    apart: npt.NDArray[np.bool_] = start[1:] > end[:-1] + 1e-9 * (end[-1] - start[0])
    return apart
