"""A colour for each phase label, the same in every report."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reports.style import COLOURS, lightened

if TYPE_CHECKING:
    from collections.abc import Iterable

Colour = tuple[float, float, float]

PRUNING = "pruning"
"""The label that stands for all the short steps around a ticket."""
PRUNING_STEPS = frozenset({"inspect", "shrink", "prune", "snapshot", "rewind", "reinitialise"})

# Work in full colours, bookkeeping in pale ones, losses in red.
_KNOWN = {
    "train": "#3f90da",
    "search": "#832db6",
    "retrain": "#e8a33d",
    "level": "#a96b59",
    "round": "#4f9d8f",
    PRUNING: "#e76300",
    "compile": "#717581",
    "evaluation": "#b9ac70",
    "test": "#8a8150",
    "checkpoint": "#92dadd",
    "overhead": "#b5b8bd",
    "lost": "#bd1f01",
}
_NUMBERED = re.compile(r"(?P<stem>.*?)[ _-]?(?P<number>\d+)")


def stem(label: str) -> str:
    """What a label is called without its number: "level 3" is a "level"."""
    match = _NUMBERED.fullmatch(label)
    return (match["stem"] if match else label) or label


def number(label: str) -> int | None:
    """The number a label ends in, if it has one."""
    match = _NUMBERED.fullmatch(label)
    return int(match["number"]) if match and match["stem"] else None


def rank(name: str) -> int:
    """Where a stem stands in a legend: the recipes' own words first, then the known order."""
    return list(_KNOWN).index(name) if name in _KNOWN else -1


def phase_colours(phase_labels: Iterable[str]) -> dict[str, Colour]:
    """A colour for each label; the numbers of one stem go from its colour towards white."""
    every = list(dict.fromkeys(phase_labels))
    unknown = sorted({stem(label) for label in every} - _KNOWN.keys())
    base = _KNOWN | {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(unknown)}
    colours = {}
    for label in every:
        family = sorted(number(other) or 0 for other in every if stem(other) == stem(label))
        place = family.index(number(label) or 0)
        colours[label] = lightened(base[stem(label)], 0.65 * place / max(len(family) - 1, 3))
    return colours
