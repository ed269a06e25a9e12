"""Whether and after how much energy a target was reached, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.wording.units import MISSING, energy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.analysis.targets import Reached

NOT_REACHED = "not reached"


def reached(target: Reached) -> str:
    """The mean energy with its unit and, where some did not reach it, how many seeds did."""
    if not target.seeds:
        return MISSING
    if not target.energy_j.n:
        return NOT_REACHED
    text = energy(target.energy_j.mean)
    some = some_of(target.energy_j.n, target.seeds)
    return f"{text} ({some})" if some else text


def some_of(n: int, seeds: int) -> str:
    """Such as "2 of 3 seeds"; empty where all or none reached it."""
    return "" if n in (0, seeds) else f"{n} of {seeds} seeds"


def listed(words: Iterable[str]) -> str:
    """Such as "90, 95 and 99"."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
