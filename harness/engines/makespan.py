"""How long a list of runs takes on several places: list scheduling, as the engines do it.

Each run goes to the place that is free first, in the order of turns (Graham, 1966: never longer
than twice the best schedule).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def makespan_s(
    durations_s: Sequence[float], places: int, before: Sequence[Sequence[int]] = ()
) -> float:
    """Time from the first start to the last end.

    Args:
        durations_s: Of each run, in the order of their turns.
        places: How many run at a time, at least one.
        before: By run, the places in the order of those that must have ended before it begins, all
            earlier in the order.
    """
    free_s = [0.0] * min(places, max(len(durations_s), 1))
    ends_s: list[float] = []
    for index, duration_s in enumerate(durations_s):
        ready_s = max((ends_s[other] for other in before[index]), default=0.0) if before else 0.0
        end_s = max(heapq.heappop(free_s), ready_s) + duration_s
        heapq.heappush(free_s, end_s)
        ends_s.append(end_s)
    return max(ends_s, default=0.0)
