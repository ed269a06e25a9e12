"""How the energy of one arm came down to that of another, factor by factor.

Factors multiply: what is added up from stage to stage are logarithms of paired energy ratios, over
the seeds that every stage has in common, so that the product of the steps is exactly the total.
Means of energy are geometric for the same reason. The stages stand in one order of many: where
factors interact, another order would give them other shares (the Shapley value averages over all
orders, at the price of runs for every combination; Shorrocks 2013, J. Economic Inequality 11).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from reports.statistics.energy_kind import difference_of_kind
from reports.statistics.energy_ratio import energy_ratio
from reports.statistics.statistics import Interval, paired_ratio, score_interval

if TYPE_CHECKING:
    from reports.data import Stage, StudyResults


@dataclass(frozen=True)
class StageResult:
    """What was measured at a stage.

    Attributes:
        arm: Its label.
        energy_j: Geometric mean over seeds.
        score: Mean test score over the same seeds.
        step: Energy as a ratio to the stage measured before; None at the first.
        so_far: The same to the first; None at the first.
    """

    arm: str
    energy_j: Interval
    score: Interval
    step: Interval | None
    so_far: Interval | None


@dataclass(frozen=True)
class MeasuredStage:
    """A stage that the study asks for.

    Attributes:
        factors: What is new since the stage measured before; several if stages between were not
            measured, none at the start.
        reached: What was measured; None if nothing was.
    """

    factors: tuple[str, ...]
    reached: StageResult | None


@dataclass(frozen=True)
class Decomposition:
    """Stages in order; `total` is the last measured one's energy as a ratio to the first's.

    `mixed` is how stages differ in what their energy was measured on; empty if they do not.
    """

    levels: tuple[MeasuredStage, ...]
    total: Interval
    mixed: str

    @property
    def measured(self) -> tuple[StageResult, ...]:
        """The stages with something measured."""
        return tuple(level.reached for level in self.levels if level.reached is not None)


def decompose(results: StudyResults) -> Decomposition | None:
    """The study's decomposition; None without two stages that share a seed.

    A stage that was not run is passed over, and the next one's step spans both factors.
    """
    energy_j = {stage.arm: _energies(results, stage) for stage in results.decomposition}
    run = [stage.arm for stage in results.decomposition if stage.arm and energy_j[stage.arm]]
    shared = reduce(set.intersection, (set(energy_j[arm]) for arm in run)) if run else set()
    if len(run) < 2 or not shared:
        return None
    chosen = {arm: {seed: energy_j[arm][seed] for seed in sorted(shared)} for arm in run}
    levels: list[MeasuredStage] = []
    before: str | None = None
    passed: tuple[str, ...] = ()
    for stage in results.decomposition:
        factors = (*passed, stage.factor) if stage.factor else passed
        if stage.arm not in chosen:
            levels.append(MeasuredStage(factors[-1:], None))
            passed = factors
            continue
        reached = _reached(results, stage.arm, chosen, before, run[0])
        levels.append(MeasuredStage(factors, reached))
        before, passed = stage.arm, ()
    return Decomposition(
        levels=tuple(levels),
        total=energy_ratio(results, run[-1], run[0], chosen[run[-1]], chosen[run[0]]),
        mixed=next(filter(None, (difference_of_kind(results, arm, run[0]) for arm in run)), ""),
    )


def _energies(results: StudyResults, stage: Stage) -> dict[int, float]:
    """A stage's energies in J by seed; those without a logarithm are left out."""
    if stage.arm is None:
        return {}
    found = results.by_seed(stage.arm, "energy_j")
    return {seed: joules for seed, joules in found.items() if math.isfinite(joules) and joules > 0}


def _reached(
    results: StudyResults,
    arm: str,
    energy_j: dict[str, dict[int, float]],
    before: str | None,
    first: str,
) -> StageResult:
    mine = energy_j[arm]

    def over(other: str | None) -> Interval | None:
        if other is None:
            return None
        return energy_ratio(results, arm, other, mine, energy_j[other])

    score = results.by_seed(arm, "test_score")
    return StageResult(
        arm=arm,
        energy_j=paired_ratio(mine, dict.fromkeys(mine, 1.0)),
        score=score_interval((score[seed] for seed in mine), results.metric),
        step=over(before),
        so_far=over(None if before is None else first),
    )
