"""The order of runs: which a run builds on, when each begins, and how long all take."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from graphlib import TopologicalSorter

from harness.settings.arm_selector import Selector
from harness.settings.run_spec import RunSpec
from harness.study.registry import Registry


def in_random_order(
    specs: Iterable[RunSpec], relied_on: Callable[[RunSpec], list[RunSpec]]
) -> list[RunSpec]:
    """Randomised complete blocks, so that one card or one hot hour favours no method.

    The order is seed by seed, so that a study stopped early has whole blocks, and random within
    each, drawn from the seed. What a run builds on comes before it.

    Args:
        specs: Seed by seed.
        relied_on: The runs that a run builds on.
    """
    ordered: list[RunSpec] = []
    for seed, block in itertools.groupby(specs, key=lambda spec: spec.seed):
        runs = list(block)
        shuffled = random.Random(seed).sample(runs, len(runs))  # noqa: S311 - an order, no secret
        ordered += itertools.chain(*levels(shuffled, relied_on))
    return ordered


def levels(
    specs: Sequence[RunSpec], relied_on: Callable[[RunSpec], list[RunSpec]]
) -> list[list[RunSpec]]:
    """Runs in levels: those of the first build on none of `specs`, the others on levels before.

    Within a level the order stays.
    """
    titles = {spec.title for spec in specs}
    sorter = TopologicalSorter(
        {spec.title: titles & {other.title for other in relied_on(spec)} for spec in specs}
    )
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = set(sorter.get_ready())
        found.append([spec for spec in specs if spec.title in ready])
        sorter.done(*ready)
    return found


def makespan_s(
    durations_s: Sequence[float], places: int, before: Sequence[Sequence[int]] = ()
) -> float:
    """Time from the first start to the last end, by list scheduling, as the engines do it.

    Each run begins where a place is free first, in the given order (Graham, 1966: never longer than
    twice the best schedule).

    Args:
        durations_s: Duration of each run, in the order in which they begin.
        places: Number of parallel runs, at least one.
        before: Per run, the indices of those that must have ended before it begins, all smaller
            than its own.
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

    def only(self, specs: Iterable[RunSpec], arms: Iterable[str]) -> list[RunSpec]:
        """The runs of these arms, and all that they build on, in the order of `specs`.

        Args:
            specs: Runs of the study.
            arms: Selectors, such as "early_bird prune_ratio=0.5".
        """
        specs = list(specs)
        chosen = [Selector.parse(words) for words in arms]
        wanted = [spec for spec in specs if any(each.matches(spec) for each in chosen)]
        titles = {spec.title for spec in wanted}
        while wanted:
            more = [run for spec in wanted for run in self(spec) if run.title not in titles]
            titles |= {run.title for run in more}
            wanted = more
        return [spec for spec in specs if spec.title in titles]
