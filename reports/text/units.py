"""Numbers for people: a unit that fits, few digits, a true minus sign."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MISSING = "–"


@dataclass(frozen=True)
class Unit:
    """A unit's symbol and its size in base units."""

    symbol: str
    size: float

    def show(self, value: float) -> str:
        """A value given in the base unit, as a bare number in this unit."""
        return significant(value / self.size)

    @property
    def plus_minus(self) -> Unit:
        """The same unit for the header of an uncertainty."""
        return Unit(f"±\u00a0{self.symbol}", self.size)


PLAIN = Unit("", 1.0)
"""For counts, and whatever needs no unit."""
PERCENT = Unit("%", 0.01)
"""For shares of 1."""
POINTS = Unit("points", 0.01)
"""For differences between shares of 1: percentage points."""
_ENERGY = (Unit("J", 1.0), Unit("kJ", 1e3), Unit("MJ", 1e6))
_MASS = (Unit("mg", 1e-6), Unit("g", 1e-3), Unit("kg", 1.0))
_TIME = (Unit("s", 1.0), Unit("min", 60.0), Unit("h", 3600.0))
_SAMPLE_ENERGY = (Unit("µJ", 1e-6), Unit("mJ", 1e-3), Unit("J", 1.0))
_CALL_TIME = (Unit("µs", 1e-6), Unit("ms", 1e-3), Unit("s", 1.0))


def energy_unit(joules: Iterable[float]) -> Unit:
    """J, kJ or MJ: the first in which the largest value has at most four digits."""
    return _fitting(_ENERGY, joules, 1e4)


def mass_unit(kilograms: Iterable[float]) -> Unit:
    """mg, g or kg for masses in kg."""
    return _fitting(_MASS, kilograms, 1e3)


def time_unit(seconds: Iterable[float]) -> Unit:
    """s, min or h for durations in s."""
    return _fitting(_TIME, seconds, 600)


def sample_energy_unit(joules: Iterable[float]) -> Unit:
    """µJ, mJ or J for what one sample draws."""
    return _fitting(_SAMPLE_ENERGY, joules, 1e3)


def call_time_unit(seconds: Iterable[float]) -> Unit:
    """µs, ms or s for what one call of a network takes."""
    return _fitting(_CALL_TIME, seconds, 1e3)


def _fitting(units: tuple[Unit, ...], values: Iterable[float], limit: float) -> Unit:
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return next((unit for unit in units if largest < limit * unit.size), units[-1])


def energy(joules: float) -> str:
    """One energy with its own unit."""
    unit = energy_unit([joules])
    return f"{unit.show(joules)} {unit.symbol}" if math.isfinite(joules) else MISSING


def within(energy_j: float, uncertainty_j: float) -> str:
    """How far off an energy may be: "± 3.2 J", or "within a factor of 2.9"."""
    factor = by_factor(energy_j, uncertainty_j)
    return f"within {factor}" if factor else f"± {energy(uncertainty_j)}"


def by_factor(energy_j: float, uncertainty_j: float) -> str:
    """How far off an energy may be if that is by all of itself or more: "a factor of 2.9"; else "".

    No energy is below 0, so ± would not do.
    """
    if uncertainty_j >= energy_j > 0:
        return f"a factor of {1 + uncertainty_j / energy_j:.2g}"
    return ""


def duration(seconds: float) -> str:
    """One duration with its own unit."""
    unit = time_unit([seconds])
    return f"{unit.show(seconds)} {unit.symbol}" if math.isfinite(seconds) else MISSING


def significant(value: float, digits: int = 3) -> str:
    """A number with about `digits` significant digits and no exponent."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    return fixed(value, min(max(0, digits - 1 - magnitude), 6))


def fixed(value: float, decimals: int) -> str:
    """A number with this many decimals, and a minus sign that is as wide as a plus."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def signed(value: float, decimals: int) -> str:
    """A number with its sign always shown; zero has none."""
    text = fixed(value, decimals)
    return f"+{text}" if math.isfinite(value) and float(text.replace("−", "-")) > 0 else text


def points(value: float) -> str:
    """Percentage points with their unit: "0.5 points", "1 point"."""
    return f"{value:g} point{'s' * (value != 1)}"


def relative(ratio: float) -> str:
    """A ratio with two decimals, or two significant digits where it is small: "0.78", "0.0042"."""
    return fixed(ratio, 2) if not 0 < ratio < 0.095 else significant(ratio, 2)


def percent(share: float) -> str:
    """A share of 1 as a bare percentage, with two significant digits or the whole number."""
    return whole(share * 100)


def whole(value: float) -> str:
    """A number with two significant digits below 10, else the whole number."""
    return fixed(value, 0 if value >= 9.95 else 1)


def counted(value: float) -> str:
    """A count such as parameters or operations, with k, M or G; empty where there is none."""
    if not math.isfinite(value):
        return ""
    power = next((p for p in (9, 6, 3) if abs(value) >= 10**p), 0)
    return significant(value / 10**power) + {9: " G", 6: " M", 3: " k", 0: ""}[power]
