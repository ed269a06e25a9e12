"""What a study's energy figures are worth: measured, estimated or simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.results.standing import adjective, kinds_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Standing:
    """The kinds of energy figure that a set of runs holds."""

    kinds: frozenset[str]

    @property
    def simulated(self) -> bool:
        """Whether any figure comes from a stand-in device."""
        return "simulated" in self.kinds

    @property
    def measured(self) -> bool:
        """Whether every figure comes from a sensor."""
        return self.kinds == {"measured"}

    @property
    def adjective(self) -> str:
        """The word to print before "energy"; the weakest kind decides."""
        return adjective(self.kinds)

    @property
    def axis(self) -> str:
        """How an axis or a column names the energy."""
        return "Energy" if self.measured else f"{self.adjective.capitalize()} energy"


def standing_of(runs: pd.DataFrame) -> Standing:
    """The standing of the energy figures in these runs."""
    known = runs.loc[runs["energy_j"].notna(), "energy_source"].dropna()
    return Standing(frozenset[str]().union(*map(kinds_of, known.unique())))
