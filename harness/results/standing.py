"""What an energy figure is worth, in a word that goes wherever the figure goes."""

from __future__ import annotations

from collections.abc import Iterable

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
