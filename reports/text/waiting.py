"""What waiting for green electricity saved, and what it cost, in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from reports.text.units import energy, fixed, mass_unit, percent

if TYPE_CHECKING:
    from reports.data import StudyResults


def waiting(results: StudyResults) -> str:
    """CO2e against running at once, hours waited and idle energy; empty if nothing was to wait."""
    runs = results.telling
    if "waited_s" not in runs:
        return ""  # of an older version
    runs = runs[pd.to_numeric(runs["waited_s"]).notna()]
    if runs.empty:
        return ""
    waited_s = pd.to_numeric(runs["waited_s"])
    text = f"Waiting for green electricity took {fixed(float(waited_s.sum()) / 3600, 1)} h in all"
    now_kg, then_kg = (
        math.fsum(pd.to_numeric(runs[name])) for name in ("co2e_kg", "co2e_at_once_kg")
    )
    if then_kg > 0 and math.isfinite(now_kg):
        unit = mass_unit([now_kg, then_kg])
        change = now_kg / then_kg - 1
        text += (
            f": the runs emitted {unit.show(now_kg)} {unit.symbol} CO2e, {percent(abs(change))} % "
            f"{'less' if change <= 0 else 'more'} than the {unit.show(then_kg)} {unit.symbol} that "
            "the same energy would have at once"
        )
    return f"{text}. {_idle(runs, waited_s)}"


def _idle(runs: pd.DataFrame, waited_s: pd.Series) -> str:
    """The energy of the machine while it waited, by the idle power before runs."""
    idle = pd.to_numeric(runs.get("idle_energy_j", pd.Series(math.nan, index=runs.index)))
    idle_j = (idle / pd.to_numeric(runs["duration_s"]) * waited_s)[waited_s > 0]
    if idle_j.empty:
        return "Nothing had to wait."
    if idle_j.isna().any():
        return "Idle power was not measured, so what the machine drew meanwhile is not known."
    drawn = energy(float(idle_j.sum()))
    return (
        f"Meanwhile the measured devices drew about {drawn} if they were left on for this alone, "
        "by the idle power before the runs; it is in no other figure."
    )
