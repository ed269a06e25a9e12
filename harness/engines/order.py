"""In which order runs are begun, so that one card or one hot hour favours no method."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable

from harness.spec import RunSpec


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
