"""A colour for each phase label, the same in every figure of a study."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from matplotlib.colors import to_hex

from reports.plotting.style import darkened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Colour = tuple[float, float, float]

PRUNING = "pruning"
"""The label that stands for all the short steps around a ticket."""
PRUNING_STEPS = frozenset({"inspect", "shrink", "prune", "snapshot", "rewind", "reinitialise"})

# Work in full colours, bookkeeping in dull ones, losses in red; all at least 3 : 1 on white.
_KNOWN = {
    "train": "#3f90da",
    "search": "#832db6",
    "retrain": "#c27d10",
    "level": "#a96b59",
    "round": "#4f9d8f",
    PRUNING: "#e76300",
    "compile": "#717581",
    "autotune": "#5f7d8c",
    "evaluation": "#948950",
    "test": "#8a8150",
    "checkpoint": "#3a9a9f",
    "overhead": "#8e9297",
    "lost": "#bd1f01",
}
# For labels of methods that are not ours, far from all of the above.
_FREE = ("#c94f90", "#27447a", "#6f9020", "#00798c", "#d9705f", "#5b4636")
_NUMBERED = re.compile(r"(?P<stem>.*?)[ _-]?(?P<number>\d+)")


def gathered(label: str) -> str:
    """The label that a window is shown under."""
    return PRUNING if label in PRUNING_STEPS else label


def stem(label: str) -> str:
    """What a label is called without its number: "level 3" is a "level"."""
    match = _NUMBERED.fullmatch(label)
    return (match["stem"] if match else label) or label


def number(label: str) -> int | None:
    """The number a label ends in, if it has one."""
    match = _NUMBERED.fullmatch(label)
    return int(match["number"]) if match and match["stem"] else None


def phase_colours(phase_labels: Iterable[str]) -> dict[str, Colour]:
    """A colour for each label; the numbers of one stem go from its colour towards black."""
    every = list(dict.fromkeys(phase_labels))
    stems = _by_stem(every)
    base = {name: _KNOWN[name] for name in stems if name in _KNOWN}
    unknown = sorted(stems.keys() - base.keys())
    colours = {}
    for name, members in stems.items():
        places = sorted({number(label) or 0 for label in members})
        for label in members:
            share = 0.6 * places.index(number(label) or 0) / max(len(places) - 1, 3)
            if name in base:
                colours[label] = darkened(base[name], share)
            else:
                again, place = divmod(unknown.index(name), len(_FREE))
                darker = to_hex(darkened(_FREE[place], 1 - 0.65**again))
                colours[label] = darkened(darker, share)
    return {label: colours[label] for label in every}


def legend(colours: Mapping[str, Colour]) -> dict[str, Colour]:
    """The entries of a legend: one per stem, with the range of its numbers if it has several.

    The recipes' own words come first, then the known ones in their order.
    """
    order = {name: place for place, name in enumerate(_KNOWN)}
    entries = {}
    for name, members in sorted(_by_stem(colours).items(), key=lambda item: order.get(item[0], -1)):
        first = min(members, key=lambda label: number(label) or 0)
        numbers = sorted(n for n in map(number, members) if n is not None)
        text = f"{name} {numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else first
        entries[text] = colours[first]
    return entries


def _by_stem(every: Iterable[str]) -> dict[str, list[str]]:
    """The labels of each stem."""
    stems: defaultdict[str, list[str]] = defaultdict(list)
    for label in every:
        stems[stem(label)].append(label)
    return stems
