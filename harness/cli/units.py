"""Quantities for people: a few digits and a fitting unit."""

from __future__ import annotations


def joules(energy_j: float) -> str:
    """Such as "12.3 J", "4.56 kJ"."""
    for factor, unit in ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ")):
        if abs(energy_j) >= factor:
            return f"{energy_j / factor:.3g} {unit}"
    return f"{energy_j:.3g} J"


def duration(seconds: float) -> str:
    """Such as "4.2 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
