"""The result of drawing a figure: the figure, its data, its captions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.plotting.svg_ids import Marks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def _none() -> Marks:
    return Marks(())


@dataclass(frozen=True, eq=False)
class Figured:
    """A figure with all that goes with it.

    Attributes:
        figure: The drawing.
        frame: The table of what it shows.
        reading: How to read it.
        alt: The same for those who cannot see it.
        marks: Which of its parts belong to which arm.
        brief: What it shows in at most 40 words, ready to paste.
        basis: What its figures rest on: seeds, uncertainty, how energy was measured.
    """

    figure: Figure
    frame: pd.DataFrame
    reading: str
    alt: str
    marks: Marks = field(default_factory=_none)
    brief: str = ""
    basis: str = ""

    @property
    def caption(self) -> str:
        """All of it, for where the figure stands alone."""
        return " ".join(f"{self.reading} {self.basis}".split())
