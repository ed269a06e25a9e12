"""How far unequal numbers of busy threads leave a ratio of estimated energies open.

An estimate has one power a thread, and power a thread depends on how many are busy: between two
arms that cancels only where both kept as many threads busy.
"""

from __future__ import annotations

import math

import pandas as pd

from harness.energy.cpu_time import ratio_doubt
from reports.analysis.standing import standing_of


def threads_doubt(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """How far a ratio of two arms' estimates may be off by that, as a share of it.

    0 for measured energy, and where it is not known how many threads were in use.
    """
    if standing_of(ours).kinds | standing_of(theirs).kinds != {"estimated"}:
        return 0.0
    unequal = ratio_doubt(threads_of(ours), threads_of(theirs))
    return 0.0 if math.isnan(unequal) else unequal


def threads_of(runs: pd.DataFrame) -> float:
    """Threads in use, mean over runs; NaN where it was not recorded."""
    return float(_numbers(runs, "threads_in_use").mean())


def _numbers(runs: pd.DataFrame, column: str) -> pd.Series:
    nothing = pd.Series(math.nan, index=runs.index)
    return pd.to_numeric(runs.get(column, nothing), errors="coerce").astype(float)
