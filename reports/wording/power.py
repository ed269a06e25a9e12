"""Power as a reader wants it: in a unit that fits."""

from __future__ import annotations

import math

from reports.wording.units import MISSING, Unit

_UNITS = (Unit("MW", 1e6), Unit("kW", 1e3), Unit("W", 1.0), Unit("mW", 1e-3))


def power_unit(watts: float) -> Unit:
    """The unit for powers up to this one: kW and MW from ten of them on."""
    fits = (unit for unit in _UNITS if watts >= unit.size * (10 if unit.size > 1 else 1))
    return next(fits, _UNITS[-1])


def power(watts: float) -> str:
    """One power with its own unit."""
    unit = power_unit(watts)
    return f"{unit.show(watts)} {unit.symbol}" if math.isfinite(watts) else MISSING
