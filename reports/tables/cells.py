"""Values as cells: a text, a note below it, and a number to sort by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.tables.table import Cell
from reports.wording.units import MISSING, Unit, fixed, signed, significant

if TYPE_CHECKING:
    from reports.analysis.statistics import Interval


def number(value: Any, factor: float, decimals: int) -> Cell:
    """A number with so many decimals, after multiplying it; a dash where there is none."""
    scaled = math.nan if pd.isna(value) else float(value) * factor
    return Cell(fixed(scaled, decimals), value=scaled)


def quantity(value: Any, unit: Unit) -> Cell:
    """A quantity in the base unit, shown in another with three significant digits."""
    known = math.nan if pd.isna(value) else float(value)
    return Cell(significant(known / unit.size), value=known)


def text(value: Any, note: str = "") -> Cell:
    """Words; nothing where there are none."""
    words = "" if pd.isna(value) else str(value)
    return Cell(words, note, words)


def interval(found: Interval | None, factor: float, decimals: int, *, sign: bool = False) -> Cell:
    """A mean, and its interval below; a dash where nothing is compared."""
    if found is None:
        return Cell(MISSING)
    scaled, show = found.scaled(factor), signed if sign else fixed
    note = ""
    if scaled.bounded:
        note = f"{show(scaled.low, decimals)} … {show(scaled.high, decimals)}"
    return Cell(show(scaled.mean, decimals), note, scaled.mean)


def measured(found: Interval, unit: Unit) -> Cell:
    """A mean quantity in a unit, and its interval below."""
    note = f"{unit.show(found.low)} … {unit.show(found.high)}" if found.bounded else ""
    return Cell(unit.show(found.mean), note, found.mean)
