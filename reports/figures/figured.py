"""What a figure's function returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.drawing.marks import Marks

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
        caption: What it shows, and the standing of its figures.
        alt: The same for those who cannot see it.
        marks: Which of its parts belong to which arm.
    """

    figure: Figure
    frame: pd.DataFrame
    caption: str
    alt: str
    marks: Marks = field(default_factory=_none)
