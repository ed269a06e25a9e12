"""Which parts of a figure belong to which arm, so that a page can hide an arm or show tips."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.artist import Artist


class Marks:
    """Names the artists of a figure. Each becomes an SVG group with that id.

    Args:
        arms: All arms of the study; an arm has the same number in every figure.

    Attributes:
        arms: From a group's id to the number of its arm.
        tips: From a group's id to what is shown when it is pointed at, in plain text.
    """

    def __init__(self, arms: Iterable[str]) -> None:
        self._numbers = {arm: number for number, arm in enumerate(arms)}
        self.arms: dict[str, int] = {}
        self.tips: dict[str, str] = {}

    def add(self, artist: Artist, arm: str, tip: str = "") -> None:
        """Record that an artist belongs to an arm, and its tip, such as "dense: 98.6 %"."""
        gid = f"mark-{len(self.arms)}"
        self.arms[gid] = self._numbers[arm]
        if tip:
            self.tips[gid] = tip
        artist.set_gid(gid)
