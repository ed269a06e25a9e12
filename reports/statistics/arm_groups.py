"""Arms of one method that differ only in how much they prune."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Where a label has several, the first of these is how sparse the network becomes.
_LEVELS = ("sparsity", "prune_ratio", "fraction")
# RigL's is the share of weights that move; as many stay.
_OTHERWISE = frozenset({("rigl", "fraction")})


@dataclass(frozen=True)
class ArmGroup:
    """Arms of a method at several levels of sparsity, or one arm alone.

    Attributes:
        name: The arms' label without the level; of one arm alone, its whole label.
        arms: In order of level.
        levels: One an arm: the share that it prunes; empty for one arm alone.
    """

    name: str
    arms: tuple[str, ...]
    levels: tuple[float, ...] = ()

    def short(self, arm: str) -> str:
        """What sets an arm apart from the others of its group, such as "30 %"; else its label."""
        return f"{_percent(self.levels[self.arms.index(arm)])} %" if self.levels else arm

    @property
    def title(self) -> str:
        """Its name with its levels, such as "progressive (30, 50, 70 %)"; those do not break."""
        if not self.levels:
            return self.name
        levels = ", ".join(map(_percent, self.levels))
        return f"{self.name} " + f"({levels} %)".replace(" ", "\u00a0")


def split_level(arm: str) -> tuple[str, float | None]:
    """An arm's label without its level of sparsity, and that level (0 to 1); None without one."""
    method = arm.split(" ")[0]
    for key in _LEVELS:
        found = re.search(rf" {key}=([^\s']+)(?='?(?: |$))", arm)
        if found is None or (method, key) in _OTHERWISE:
            continue
        try:
            level = float(found[1])
        except ValueError:
            continue
        if 0 <= level <= 1:
            return arm[: found.start()] + arm[found.end() :], level
    return arm, None


def arm_groups(arms: Iterable[str]) -> list[ArmGroup]:
    """The groups of some arms, in order of their first arm."""
    members: dict[tuple[str, bool], list[tuple[float, str]]] = {}
    for arm in arms:
        name, level = split_level(arm)
        members.setdefault((name, level is None), []).append((level or 0.0, arm))
    found = []
    for (name, _), listed in members.items():
        listed.sort()
        levels, labels = zip(*listed, strict=True)
        alone = len(listed) == 1
        found.append(ArmGroup(labels[0] if alone else name, labels, () if alone else levels))
    return found


def _percent(level: float) -> str:
    return f"{level * 100:g}"
