"""How sure the measurement itself is, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.wording.units import percent

if TYPE_CHECKING:
    from reports.data import StudyResults


def measurement_uncertainty(results: StudyResults) -> str:
    """From which to which share an arm's energy is uncertain by measurement; empty if unknown.

    An arm's share is the mean of its finished runs' `uncertainty_j` over that of their energy.
    """
    runs = results.finished
    numbers = runs[["uncertainty_j", "energy_j"]].apply(pd.to_numeric)
    means = numbers.groupby(runs["arm"]).mean()
    shares = (means["uncertainty_j"] / means["energy_j"]).dropna()
    if shares.empty:
        return ""
    ends = dict.fromkeys(map(within, (float(shares.min()), float(shares.max()))))
    return f"Measurement uncertainty of a run's energy (95 %): {' to '.join(ends)}."


def within(share: float) -> str:
    """An uncertainty as a share of an energy: "±3.2 %", "a factor of 2.9".

    No energy is below 0, so one that may be off by all of itself is off by a factor.
    """
    return f"a factor of {1 + share:.2g}" if share >= 1 else f"±{percent(share)} %"
