"""How far an energy that no sensor measured can be trusted, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.wording.units import percent

if TYPE_CHECKING:
    from reports.analysis.standing import Standing
    from reports.analysis.summary import ArmSummary


def estimate_in_ratio(arm: ArmSummary, standing: Standing) -> str:
    """What the uncertainty of estimates means for a ratio of them; empty for measured energy.

    An estimate is wrong by the watts that it assumes: the same factor in every run, as long as runs
    load the machine alike. A ratio's interval over seeds knows nothing of it.
    """
    share = arm.uncertainty_j / arm.energy_j.mean if arm.energy_j.mean > 0 else math.nan
    if standing.measured or standing.simulated or not math.isfinite(share):
        return ""
    wrong = f"by a factor of {1 + share:.2g}" if share >= 1 else f"by ±{percent(share)} %"
    return (
        f"The joules of an estimate may be wrong {wrong}: that cancels in the ratio where both "
        "methods load the machine alike, and widens it where they do not."
    )
