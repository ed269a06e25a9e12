"""Which runs a run builds on: those must be done before it begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from harness.registry import Registry
from harness.selector import Selector
from harness.spec import RunSpec


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
