"""Where a frontier crosses the baseline's accuracy or energy, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.wording.units import fixed, signed

if TYPE_CHECKING:
    from reports.analysis.frontier import Crossing, Frontier

NOT_REACHED = "not reached"
DEARER = "every level costs more"


def energy_there(found: Crossing) -> str:
    """The energy at the baseline's accuracy: "0.62", "at most 0.41", "not reached"."""
    if found.status == "not reached":
        return NOT_REACHED
    return f"{'at most ' if found.status == 'bound' else ''}{fixed(found.value.mean, 2)}"


def points_there(found: Crossing) -> str:
    """The difference in accuracy at the baseline's energy: "+0.31", "every level costs more"."""
    if found.status == "not reached":
        return DEARER
    return f"{'at least ' if found.status == 'bound' else ''}{signed(found.value.mean, 2)}"


def limits(found: Crossing, *, sign: bool = False) -> str:
    """The interval of a crossing; empty where there is none."""
    if found.status == "not reached" or not found.value.bounded:
        return ""
    show = signed if sign else fixed
    return f"{show(found.value.low, 2)} … {show(found.value.high, 2)}"


def crossing_text(frontier: Frontier, baseline: str) -> str:
    """Both answers of a frontier in a sentence without its full stop."""
    parts = []
    for text, within, where in (
        (energy_there(frontier.energy), limits(frontier.energy), f"at {baseline}'s accuracy"),
        (points_there(frontier.points), limits(frontier.points, sign=True), ""),
    ):
        unit = f" of {baseline}'s energy" if where else " points"
        lead = where or f"at {baseline}'s energy"
        known = "" if text in (NOT_REACHED, DEARER) else unit
        parts.append(f"{lead} {text}{known}{f' (95 % CI {within})' if within else ''}")
    return f"{frontier.name}: {', '.join(parts)}"
