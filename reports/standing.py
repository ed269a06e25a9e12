"""What a study's energy figures are worth: measured, estimated or simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_KIND = {
    "counter": "measured",
    "sampled": "measured",
    "estimated": "estimated",
    "simulated": "simulated",
}


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
        if not self.kinds:
            return "unknown"
        weakest = next(k for k in ("simulated", "estimated", "measured") if k in self.kinds)
        return weakest if len(self.kinds) == 1 else f"partly {weakest}"

    @property
    def axis(self) -> str:
        """How an axis or a column names the energy."""
        return "Energy" if self.measured else f"{self.adjective.capitalize()} energy"


def standing_of(runs: pd.DataFrame) -> Standing:
    """The standing of the energy figures in these runs.

    A source this version does not know counts as an estimate: never better than it is.
    """
    known = runs.loc[runs["energy_j"].notna(), "energy_source"].dropna()
    return Standing(frozenset(_KIND.get(str(source), "estimated") for source in known))
