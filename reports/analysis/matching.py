"""Which arm of one result set is which of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.spec import RunSpec


@dataclass(frozen=True)
class Pair:
    """An arm that both result sets have: its label in each."""

    first: str
    second: str

    @property
    def label(self) -> str:
        """The label that says more, since another arm may be told apart in one set only."""
        return max((self.first, self.second), key=len)


def match(first: Mapping[str, RunSpec], second: Mapping[str, RunSpec]) -> list[Pair]:
    """The arms in both, in the order of the first.

    An arm is the same if its method, hyper-parameters and variant are: its label depends on what
    else a study holds. Failing that, arms of one label are taken for each other, as after a change
    of a hyper-parameter that nothing was swept over.
    """
    left = dict(second)
    found: dict[str, str] = {}
    for label, spec in first.items():
        same = [other for other, theirs in left.items() if _same(spec, theirs)]
        # An older set may lack a hyper-parameter that a newer one sweeps over.
        chosen = label if label in same else same[0] if len(same) == 1 else None
        if chosen is not None:
            found[label] = chosen
            del left[chosen]
    found |= {label: label for label in first if label not in found and label in left}
    return [Pair(label, found[label]) for label in first if label in found]


def _same(spec: RunSpec, other: RunSpec) -> bool:
    ours, theirs = spec.hyperparameters, other.hyperparameters
    return (spec.method, spec.variant) == (other.method, other.variant) and all(
        ours[key] == theirs[key] for key in ours.keys() & theirs.keys()
    )
