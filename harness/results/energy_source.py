"""What an energy figure is worth, in a word that goes wherever the figure goes.

What a study lacks whose energy must have been measured throughout.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.results.table import Tables


_KINDS = {
    "counter": "measured",
    "sampled": "measured",
    "estimated": "estimated",
    "simulated": "simulated",
}
_FROM_THE_WEAKEST = ("simulated", "estimated", "measured")


def kinds_of(source: object) -> frozenset[str]:
    """The kinds of figure that a run's energy is made of.

    Args:
        source: The table's `energy_source`: one or several sources, joined by "+".

    Returns:
        Some of "measured", "estimated", "simulated"; none if there was no sensor. A source this
        version does not know counts as an estimate: never better than it is.
    """
    sources = {each for each in str(source or "none").split("+") if each}
    return frozenset(_KINDS.get(each, "estimated") for each in sources - {"none"})


def adjective(kinds: Iterable[str]) -> str:
    """The word to print before "energy": the weakest kind, "partly" if some of it is measured."""
    found = set(kinds)
    if not found:
        return "unknown"
    weakest = next(kind for kind in _FROM_THE_WEAKEST if kind in found)
    partly = "measured" in found and weakest != "measured"
    return f"partly {weakest}" if partly else weakest


def standing(source: object) -> str:
    """The word for one run: "measured", "estimated", "simulated", "unknown" or "partly ..."."""
    return adjective(kinds_of(source))


MIN_COVERAGE = 0.99
"""Of a window that counts as measured throughout, so much was observed."""
MEASURES = frozenset({"counter", "sampled"})
"""Sources of energy that a sensor measured."""


def unmeasured(tables: Tables) -> list[str]:
    """Why the energy of runs does not count as measured, a sentence a run; none is good."""
    found = []
    for row in tables.runs.to_dict("records"):
        why = _why(str(row["energy_source"]), float(row["coverage"]), str(row["energy_flags"]))
        if why:
            found.append(f"{row['arm']}, seed {row['seed']}: {why}")
    return found


def _why(source: str, coverage: float, flags: str) -> str | None:
    if not MEASURES.issuperset(source.split("+")):
        return "no sensor was read" if source == "none" else f"its energy is {source}"
    if not coverage >= MIN_COVERAGE:
        doubts = f" ({flags})" if flags else ""
        return f"only {coverage:.1%} of its time was observed{doubts}"
    return None
