"""Ratios of energy, as far as they can be known where energy is an estimate from CPU time.

An estimate has one power a thread. Power a thread depends on how many are busy, and CPU time on
what else ran: between two arms that cancels only where both kept as many threads busy on a machine
of their own.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from harness.energy.cpu_time import ratio_doubt
from reports.analysis.standing import standing_of
from reports.analysis.statistics import Interval, paired_ratio

if TYPE_CHECKING:
    from reports.data import StudyResults


def energy_ratio(results: StudyResults, arm: str, against: str) -> Interval:
    """Energy of an arm over another's, seed by seed, with what its estimate cannot know."""
    ratio = paired_ratio(results.by_seed(arm, "energy_j"), results.by_seed(against, "energy_j"))
    finished = results.finished
    ours, theirs = (finished[finished["arm"] == each] for each in (arm, against))
    return ratio if arm == against else widened(ratio, estimate_doubt(ours, theirs))


def estimate_doubt(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """How far a ratio of two arms' estimates may be off, as a share; 0 for measured energy.

    Unequal numbers of threads in use, and what other work may have added to either (the gaps of an
    estimate), in quadrature.
    """
    if standing_of(pd.concat([ours, theirs])).kinds != {"estimated"}:
        return 0.0
    return math.hypot(threads_doubt(ours, theirs), _gaps(ours), _gaps(theirs))


def threads_doubt(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """The part of it that unequal numbers of threads in use have; 0 where they are not known."""
    if standing_of(pd.concat([ours, theirs])).kinds != {"estimated"}:
        return 0.0
    unequal = ratio_doubt(threads_of(ours), threads_of(theirs))
    return 0.0 if math.isnan(unequal) else unequal


def threads_of(runs: pd.DataFrame) -> float:
    """Threads in use, mean over runs; NaN where it was not recorded."""
    return float(_numbers(runs, "threads_in_use").mean())


def widened(ratio: Interval, share: float) -> Interval:
    """A ratio's interval, wider by an error of this share that is independent of its scatter."""
    if not (share > 0 and ratio.low > 0):
        return ratio
    error = math.log1p(share)
    down, up = math.log(ratio.mean / ratio.low), math.log(ratio.high / ratio.mean)
    return replace(
        ratio,
        low=ratio.mean * math.exp(-math.hypot(down, error)),
        high=ratio.mean * math.exp(math.hypot(up, error)),
    )


def _gaps(runs: pd.DataFrame) -> float:
    share = float((_numbers(runs, "gap_j") / _numbers(runs, "energy_j")).mean())
    return 0.0 if math.isnan(share) else share


def _numbers(runs: pd.DataFrame, column: str) -> pd.Series:
    nothing = pd.Series(math.nan, index=runs.index)
    return pd.to_numeric(runs.get(column, nothing), errors="coerce").astype(float)
