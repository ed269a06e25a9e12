"""Ratios of energies, with what sensors add to the scatter between seeds.

What a sensor gets wrong in the same way in every run of an arm does not show in the scatter between
seeds: the gain of its board, energy drawn in gaps and while it was not looking, and of an estimate
the number of busy threads. It is combined with the scatter in quadrature, on the log scale (JCGM
100:2008, 5.1.2: standard uncertainties of independent inputs).

An estimate assumes one power per thread, while real power per thread falls as more are busy: in a
ratio that cancels only where both arms kept equally many threads busy.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pandas as pd

from harness.energy.cpu_time import ratio_doubt
from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.statistics import NO_WIDTH, Interval, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reports.data import StudyResults


Board = tuple[str, str]
"""What measured a run: its machines, and its GPUs by their ids."""


@dataclass(frozen=True)
class SensorDoubt:
    """What sensors may add to a ratio of energies, as shares of it (95 %).

    Attributes:
        gain: What sensors of different boards may add; 0 where the same boards measured both, NaN
            if unknown.
        blur: What borders, gaps and aliasing may add, and of estimates unequal numbers of threads.
    """

    gain: float = 0.0
    blur: float = 0.0

    @property
    def share(self) -> float:
        """Both together."""
        return math.hypot(self.gain, self.blur)


@dataclass(frozen=True, eq=False)
class Entered:
    """The runs of one arm that enter a ratio.

    Attributes:
        runs: Rows of the table of runs, of these seeds.
        boards: By seed, what measured it.
        energy_j: By seed, what enters: the run's energy, or that of its beginning.
    """

    runs: pd.DataFrame
    boards: Mapping[int, Board]
    energy_j: Mapping[int, float]

    @classmethod
    def of(
        cls, finished: pd.DataFrame, attempts: pd.DataFrame, energy_j: Mapping[int, float]
    ) -> Entered:
        """From an arm's finished runs and their attempts, those that `energy_j` names."""
        runs = finished[finished["seed"].isin(list(energy_j))]
        return cls(runs, boards_of(runs, attempts), energy_j)

    def shares(self, column: str, *, of_entered: bool = False) -> list[float]:
        """A part of the uncertainty of each run, as a share of its energy; unknown ones left out.

        Args:
            column: The part, in J.
            of_entered: As a share of what enters instead, such as of a part of fixed size.
        """
        if column not in self.runs:
            return []
        parts_j, whole_j = (pd.to_numeric(self.runs[each]) for each in (column, "energy_j"))
        of_j = [self.energy_j[int(s)] for s in self.runs["seed"]] if of_entered else whole_j
        pairs = zip(parts_j, of_j, strict=True)
        return [part_j / energy_j for part_j, energy_j in pairs if part_j >= 0 and energy_j > 0]


def energy_ratio(
    results: StudyResults,
    arm: str,
    against: str,
    ours_j: Mapping[int, float] | None = None,
    theirs_j: Mapping[int, float] | None = None,
) -> Interval:
    """Energy of an arm over another's, seed by seed, with what sensors add to its interval.

    Args:
        results: The study.
        arm: The one.
        against: The other.
        ours_j: By seed, the energy to take in place of the whole run's.
        theirs_j: The same of the other.
    """
    ours_j = results.by_seed(arm, "energy_j") if ours_j is None else ours_j
    theirs_j = results.by_seed(against, "energy_j") if theirs_j is None else theirs_j
    ratio = paired_ratio(ours_j, theirs_j)
    if arm == against or not ratio.half_width > NO_WIDTH:  # equal in every seed: no interval
        return ratio
    pairs = [s for s in ours_j if s in theirs_j and ours_j[s] > 0 and theirs_j[s] > 0]
    return widened(ratio, doubt_in(results, arm, against, pairs, ours_j, theirs_j).share)


def doubt_in(
    results: StudyResults,
    arm: str,
    against: str,
    seeds: Collection[int],
    ours_j: Mapping[int, float] | None = None,
    theirs_j: Mapping[int, float] | None = None,
) -> SensorDoubt:
    """What sensors may add to the ratio of an arm's energy to another's over these seeds.

    Arguments as of `energy_ratio`.
    """
    entered = []
    for name, given_j in ((arm, ours_j), (against, theirs_j)):
        energy_j = results.by_seed(name, "energy_j") if given_j is None else given_j
        attempts = results.attempts[results.attempts["arm"] == name]
        entered_j = {seed: energy_j[seed] for seed in seeds}
        entered.append(Entered.of(results.finished_of(name), attempts, entered_j))
    return sensor_doubt(*entered)


def sensor_doubt(ours: Entered, theirs: Entered) -> SensorDoubt:
    """What sensors may add to the ratio of two arms' energies."""
    return SensorDoubt(_gain(ours, theirs), _blur(ours, theirs))


def widened(ratio: Interval, share: float) -> Interval:
    """A ratio's interval, wider by an error of this share that is independent of its scatter.

    Without ends if the share is unknown.
    """
    if math.isnan(share):
        return replace(ratio, low=math.nan, high=math.nan)
    if not (share > 0 and ratio.low > 0):
        return ratio
    error = math.log1p(share)
    down, up = math.log(ratio.mean / ratio.low), math.log(ratio.high / ratio.mean)
    return replace(
        ratio,
        low=ratio.mean * math.exp(-math.hypot(down, error)),
        high=ratio.mean * math.exp(math.hypot(up, error)),
    )


def boards_of(runs: pd.DataFrame, attempts: pd.DataFrame) -> dict[int, Board]:
    """By seed, what measured the runs of one arm, in all their known attempts.

    Args:
        runs: Rows of the table of runs.
        attempts: Rows of the table of attempts.
    """
    hosts: dict[int, set[str]] = defaultdict(set)
    for table in (attempts, runs):
        known = dict(hosts)
        for seed, host in zip(table["seed"], table.get("host", [""] * len(table)), strict=True):
            if int(seed) not in known:
                hosts[int(seed)] |= {"" if pd.isna(host) else str(host).strip()} - {""}
    gpus = runs.get("gpus", [""] * len(runs))
    return {
        int(seed): ("+".join(sorted(hosts[int(seed)])), "" if pd.isna(own) else str(own))
        for seed, own in zip(runs["seed"], gpus, strict=True)
    }


def _gain(ours: Entered, theirs: Entered) -> float:
    """What the gain errors of sensors may add.

    A board's own is fixed (arXiv 2312.02741: about ±5 %), so that it cancels where both arms
    were measured by the same boards; two boards of one machine share none. Each board weighs by how
    much more often one arm's runs were on it than the other's, and boards add up in quadrature.
    """
    weights: dict[Board, Fraction] = defaultdict(Fraction)
    for arm, sign in ((ours, 1), (theirs, -1)):
        for board in arm.boards.values():
            weights[board] += Fraction(sign, len(arm.boards))
    moved = math.sqrt(sum(weight**2 for weight in weights.values()))
    if not moved:
        return 0.0
    shares = [_mean(arm.shares("gain_j"), unknown=math.nan) for arm in (ours, theirs)]
    return math.hypot(*shares) / math.sqrt(2) * moved


def _blur(ours: Entered, theirs: Entered) -> float:
    """What borders, gaps and aliasing may add, and of estimates unequal numbers of busy threads.

    Borders differ from run to run, so that their mean is the better known; gaps and aliasing may be
    alike in all.
    """
    found = threads_doubt(ours.runs, theirs.runs)
    for arm in (ours, theirs):
        alike = _mean(arm.shares("gap_j")) + _mean(arm.shares("aliasing_j"))
        borders = arm.shares("border_j", of_entered=True)
        found = math.hypot(found, alike, _mean(borders) / math.sqrt(max(len(borders), 1)))
    return found


def _mean(values: list[float], unknown: float = 0.0) -> float:
    return math.fsum(values) / len(values) if values else unknown


def threads_doubt(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """How far a ratio of two arms' estimates may be off by that, as a share of it.

    0 for measured energy, where it is not known how many threads were in use, and where one
    calibration of the machine gives the watts of each number of threads: its residual is in the
    gaps.
    """
    if not EnergyKinds.union((standing_of(ours), standing_of(theirs))).estimated:
        return 0.0
    if _calibrations(ours) == _calibrations(theirs) != {""}:
        return 0.0
    unequal = ratio_doubt(threads_of(ours), threads_of(theirs))
    return 0.0 if math.isnan(unequal) else unequal


def _calibrations(runs: pd.DataFrame) -> set[str]:
    """By what the CPUs of the runs were calibrated; "" where one was not."""
    found = runs.get("calibration", pd.Series("", index=runs.index))
    texts = set(found.fillna("").astype(str))
    return {""} if "" in texts or not texts else texts


def threads_of(runs: pd.DataFrame) -> float:
    """Threads in use, mean over runs; NaN where it was not recorded."""
    return float(_numbers(runs, "threads_in_use").mean())


def _numbers(runs: pd.DataFrame, column: str) -> pd.Series:
    nothing = pd.Series(math.nan, index=runs.index)
    return pd.to_numeric(runs.get(column, nothing), errors="coerce").astype(float)
