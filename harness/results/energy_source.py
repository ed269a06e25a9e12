"""Says whether energy was measured, estimated or simulated: the one place that decides it.

Each sensor has a source (`Source`: counter, sampled, estimated, simulated), and each source is of
one `EnergyKind`. A run may have several sensors: the table's column `energy_source` joins their
sources by "+", and `EnergyKinds` says what kinds of figure that makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.energy.sensors.base import EnergyKind, kind_of_source

if TYPE_CHECKING:
    from harness.results.table import Tables

__all__ = ["MIN_COVERAGE", "EnergyKind", "EnergyKinds", "unmeasured"]

MIN_COVERAGE = 0.99
"""Share of a window that must be observed if it is to count as measured."""


@dataclass(frozen=True)
class EnergyKinds:
    """The kinds of figure that an energy is made of; none if it is unknown."""

    kinds: frozenset[EnergyKind] = frozenset()

    @classmethod
    def of_source(cls, source: object) -> EnergyKinds:
        """The kinds in a run's `energy_source`: one or several sources, joined by "+".

        A source that this version does not know counts as an estimate; "none" stands for no sensor.
        """
        sources = {each for each in str(source or "none").split("+") if each}
        return cls(frozenset(map(kind_of_source, sources - {"none"})))

    @classmethod
    def union(cls, several: Iterable[EnergyKinds]) -> EnergyKinds:
        """The kinds in any of several energies."""
        return cls(frozenset[EnergyKind]().union(*(each.kinds for each in several)))

    @property
    def simulated(self) -> bool:
        """Whether any figure comes from a stand-in device."""
        return EnergyKind.SIMULATED in self.kinds

    @property
    def measured(self) -> bool:
        """Whether every figure comes from a sensor."""
        return self.kinds == {EnergyKind.MEASURED}

    @property
    def estimated(self) -> bool:
        """Whether every figure comes from a model."""
        return self.kinds == {EnergyKind.ESTIMATED}

    @property
    def adjective(self) -> str:
        """The word before "energy": the weakest kind, with "partly" if some of it is measured."""
        if not self.kinds:
            return "unknown"
        weakest = next(kind for kind in EnergyKind if kind in self.kinds)
        partly = EnergyKind.MEASURED in self.kinds and not self.measured
        return f"partly {weakest}" if partly else str(weakest)

    @property
    def axis(self) -> str:
        """The name of the energy on an axis or in a header."""
        return "Energy" if self.measured else f"{self.adjective.capitalize()} energy"


def unmeasured(tables: Tables) -> list[str]:
    """Why the energy of runs does not count as measured, a sentence per run; none is good."""
    found = []
    for row in tables.runs.to_dict("records"):
        why = _why(str(row["energy_source"]), float(row["coverage"]), str(row["energy_flags"]))
        if why:
            found.append(f"{row['arm']}, seed {row['seed']}: {why}")
    return found


def _why(source: str, coverage: float, flags: str) -> str | None:
    kinds = EnergyKinds.of_source(source)
    if not kinds.measured:
        return f"its energy is {source}" if kinds.kinds else "no sensor was read"
    if not coverage >= MIN_COVERAGE:
        doubts = f" ({flags})" if flags else ""
        return f"only {coverage:.1%} of its time was observed{doubts}"
    return None
