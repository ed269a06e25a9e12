"""What a figure's function returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Figured:
    """A figure, the table of what it shows, its caption and its text for those who cannot see."""

    figure: Figure
    frame: pd.DataFrame
    caption: str
    alt: str
