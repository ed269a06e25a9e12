"""How far an energy that no sensor measured can be trusted, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reports.wording.uncertainty import within

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
    return (
        f"The joules of an estimate may be wrong by {within(share)}: that cancels in the ratio "
        "where both methods load the machine alike, and widens it where they do not."
    )
