"""The order of runs: random within a seed, always the same, and after what they build on."""

from __future__ import annotations

from typing import Any

from harness.scheduler.ordering import Reliance, in_random_order
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study

STUDY: dict[str, Any] = {
    "name": "order",
    "seeds": list(range(40)),
    "workload": {"data": "digits", "model": "vgg_small"},
    "methods": {"dense": {}, "early_bird": {"prune_ratio": [0.3, 0.5]}, "progressive": {}},
}


def ordered(**changes: Any) -> list[RunSpec]:
    registry = Registry.discover()
    specs = expand(Study(**{**STUDY, **changes}), registry)
    found = in_random_order(specs, Reliance(specs, registry))
    assert {spec.title for spec in found} == {spec.title for spec in specs}
    return found


def test_every_seed_is_a_whole_block_in_an_order_of_its_own() -> None:
    found = ordered()
    assert [spec.seed for spec in found] == [seed for seed in range(40) for _ in range(4)]
    turns = [[s.method for s in found if s.seed == seed].index("dense") for seed in range(40)]
    assert set(turns) == {0, 1, 2, 3}, "every method has every turn"
    assert found == ordered()


def test_what_a_run_builds_on_comes_before_it() -> None:
    found = ordered(methods={"dense_short": {"match": "early_bird"}, "dense": {}, "early_bird": {}})
    for seed in range(40):
        methods = [spec.method for spec in found if spec.seed == seed]
        assert methods.index("early_bird") < methods.index("dense_short")
