"""In which order runs are begun, so that one card or one hot hour favours no method.

How long a list of runs takes on several places: list scheduling, as the engines do it.

Each run goes to the place that is free first, in the order of turns (Graham, 1966: never longer
than twice the best schedule).

Which runs a run builds on: those must be done before it begins.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from harness.settings.arm_selector import Selector
from harness.settings.run_spec import RunSpec
from harness.study.registry import Registry


def in_random_order(
    specs: Iterable[RunSpec], relied_on: Callable[[RunSpec], list[RunSpec]]
) -> list[RunSpec]:
    """Randomised complete blocks: seed by seed, and within each in a random order drawn from it.

    Whoever stops early has whole blocks. What a run builds on comes before it.

    Args:
        specs: Seed by seed, each after what it builds on.
        relied_on: What a run builds on.
    """
    ordered: list[RunSpec] = []
    for seed, block in itertools.groupby(specs, key=lambda spec: spec.seed):
        runs = list(block)
        depth: dict[str, int] = {}
        for spec in runs:
            before = (depth[other.title] for other in relied_on(spec) if other.title in depth)
            depth[spec.title] = max((each + 1 for each in before), default=0)
        shuffled = random.Random(seed).sample(runs, len(runs))  # noqa: S311 - an order, no secret
        ordered += sorted(shuffled, key=lambda spec: depth[spec.title])
    return ordered


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


class Reliance:
    """Finds the runs of a study that a run builds on: of other methods, with its seed and variant.

    Args:
        specs: All runs of the study.
        registry: Its methods.
    """

    def __init__(self, specs: Iterable[RunSpec], registry: Registry) -> None:
        self._registry = registry
        self._runs: defaultdict[tuple[int, str | None], list[RunSpec]] = defaultdict(list)
        for spec in specs:
            self._runs[spec.seed, spec.variant].append(spec)

    def __call__(self, spec: RunSpec) -> list[RunSpec]:
        """The runs that `spec` builds on."""
        names = self._registry.get(spec.method)(**spec.hyperparameters).relies_on()
        chosen = [Selector.parse(name) for name in names]
        others = self._runs[spec.seed, spec.variant] if chosen else []
        return [run for each in chosen for run in others if each.matches(run)]
