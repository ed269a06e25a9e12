"""The Pareto front: what no other reaches with less."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names of the points that none dominates, by ascending cost.

    One point dominates another if it costs no more and is worth no less, and is better in one of
    the two; equal points do not dominate each other. Points with a NaN are left out.

    Args:
        points: From a name to its cost and its worth, such as energy and accuracy.
    """
    known = sorted(
        (cost, -worth, name)
        for name, (cost, worth) in points.items()
        if not (math.isnan(cost) or math.isnan(worth))
    )
    front: list[str] = []
    best: tuple[float, float] | None = None
    for cost, loss, name in known:
        if best is None or loss < best[1] or (cost, loss) == best:
            best = (cost, loss)
            front.append(name)
    return front
