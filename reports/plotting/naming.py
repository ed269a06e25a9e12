"""The names of arm groups beside their points: each group once, its points by their level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.transforms import Bbox

from reports.plotting import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from reports.plotting.style import ArmStyle
    from reports.statistics.arm_groups import ArmGroup

Place = tuple[float, float]
Named = list[tuple["Text", str]]
"""What was written, and the arm that it belongs to."""


def write(
    axes: Axes,
    text: str,
    places: Iterable[Place],
    colour: tuple[float, float, float],
    obstacles: list[Bbox],
) -> Text | None:
    """Write a text beside the first of some points (in data coordinates) that leaves room for it.

    Its box joins the obstacles. The layout must have been drawn before, and must not move
    afterwards.
    """
    for x, y in places:
        if labels.place(axes, [labels.Anchor(text, x, y, colour)], obstacles):
            written = axes.texts[-1]
            obstacles.append(written.get_window_extent(labels.renderer_of(axes)).padded(1.5))
            return written
    return None


def around(corners: npt.ArrayLike, pad: float) -> list[Bbox]:
    """Boxes of half-width `pad` at points in display coordinates; one for those that coincide."""
    cells = np.unique(np.round(np.reshape(corners, (-1, 2)) / pad), axis=0) * pad
    return [Bbox.from_extents(x, y, x, y).padded(pad) for x, y in cells]


def along(corners: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float64]:
    """Points `step` apart on the line through some corners, both of shape (points, 2)."""
    far = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    stops = np.arange(0.0, far[-1] + step, step)
    return np.column_stack([np.interp(stops, far, each) for each in corners.T])


def name_groups(
    axes: Axes,
    groups: Sequence[ArmGroup],
    points: Mapping[str, Place],
    styles: Mapping[str, ArmStyle],
    obstacles: Sequence[Bbox],
) -> Named | None:
    """Write each group's name and its points' levels, or nothing at all where room is short."""
    taken = list(obstacles)
    several = [group for group in groups if group.levels]
    written = name_levels(axes, several, points, styles, taken)
    complete = len(written) == sum(len(group.arms) for group in several)
    for group in groups if complete else ():
        ends = sorted(group.arms, key=lambda arm: points[arm], reverse=True)
        for arm in ends:
            name = labels.wrapped(group.name, 28)
            text = write(axes, name, [points[arm]], styles[arm].ink, taken)
            if text is not None:
                written.append((text, arm))
                break
        else:
            complete = False
    if complete:
        return written
    for text, _ in written:
        text.remove()
    return None


def name_levels(
    axes: Axes,
    groups: Iterable[ArmGroup],
    points: Mapping[str, Place],
    styles: Mapping[str, ArmStyle],
    taken: list[Bbox],
) -> Named:
    """Write the level of each point of a group beside it, where there is room."""
    several = [group for group in groups if group.levels]
    # The ends first: between them the line that joins a group shows the way.
    ends = [(group, arm) for group in several for arm in (group.arms[0], group.arms[-1])]
    between = [(group, arm) for group in several for arm in group.arms[1:-1]]
    written = []
    for group, arm in ends + between:
        text = write(axes, group.short(arm), [points[arm]], styles[arm].ink, taken)
        if text is not None:
            written.append((text, arm))
    return written
