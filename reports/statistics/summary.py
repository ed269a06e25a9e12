"""Summary of a study: every arm over its seeds, compared with the baseline seed by seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from reports.statistics.energy_kind import EnergyKinds, standing_of
from reports.statistics.energy_ratio import energy_ratio
from reports.statistics.once import once
from reports.statistics.statistics import Interval, Verdict, energy_interval, score_interval
from reports.statistics.verdicts import Decision, decide

if TYPE_CHECKING:
    from harness.settings.metric import Metric
    from harness.study.study import UntilDecided
    from reports.data import StudyResults

_STANDINGS: tuple[Verdict, ...] = ("non-inferior", "inconclusive", "worse")


@dataclass(frozen=True)
class ArmSummary:
    """One arm over its seeds.

    Scores are in the metric's own unit, energies joules, CO2e kg, time seconds; shares are of the
    dense network. Comparisons are None for the baseline itself and where there is none.
    """

    arm: str
    score: Interval
    energy_j: Interval
    uncertainty_j: float
    ratio: Interval | None
    decision: Decision | None
    co2e_kg: float
    duration_s: float
    parameters: float
    macs: float
    parameters_left: float
    macs_left: float
    density: float
    n: int
    failures: int
    tuning_j: float = math.nan

    @property
    def energy_with_tuning_j(self) -> float:
        """Energy of the recipe and of the trials that chose it; NaN where nothing was tuned."""
        return self.energy_j.mean + self.tuning_j

    @property
    def difference(self) -> Interval | None:
        """Score less the baseline's as this arm alone shows it, in the metric's unit and sign."""
        return self.decision.own if self.decision else None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on its score, at one chance of error shared by all arms."""
        return self.decision.verdict if self.decision else None

    @property
    def count(self) -> str:
        """Finished runs, and of how many if some did not finish."""
        return f"{self.n} of {self.n + self.failures}" if self.failures else str(self.n)


@dataclass(frozen=True)
class Summary:
    """Every arm of a study.

    Attributes:
        study: Its name.
        baseline: The arm that the others are compared with.
        has_baseline: Whether a run of it has finished.
        metric: What scores are.
        margin: How much worse one may be, in the metric's own unit.
        standing: What the energies are worth.
        arms: The arms, sorted.
        rule: How seeds are added, if they are.
        trials: How many trials chose the recipe of each method; 0 where nothing was tuned.
    """

    study: str
    baseline: str
    has_baseline: bool
    metric: Metric
    margin: float
    standing: EnergyKinds
    arms: tuple[ArmSummary, ...]
    rule: UntilDecided | None = None
    trials: int = 0

    @property
    def shown_margin(self) -> float:
        """The margin as the metric shows it: 0.5 points."""
        return self.margin * self.metric.factor

    @property
    def finished(self) -> tuple[ArmSummary, ...]:
        """The arms with at least one finished run."""
        return tuple(arm for arm in self.arms if arm.n)

    @property
    def challengers(self) -> tuple[ArmSummary, ...]:
        """The finished arms other than the baseline."""
        return tuple(arm for arm in self.finished if arm.arm != self.baseline)

    def arm(self, name: str) -> ArmSummary | None:
        """The finished arm of this name, if there is one."""
        return next((arm for arm in self.finished if arm.arm == name), None)


@once
def summarise(results: StudyResults) -> Summary:
    """Sum a study up: the arms that keep the score first, and of those the frugal ones."""
    margin = results.margin / results.metric.factor
    baseline = results.baseline_arm
    decisions: dict[str, Decision] = {}
    if baseline is not None and baseline in results.finished_arms:
        tested = {arm: results.tested(arm) for arm in results.arms}
        decisions = decide(tested, baseline, margin, results.rule)
    arms = [_summarise_arm(results, arm, decisions.get(arm)) for arm in results.arms]
    return Summary(
        study=results.study,
        baseline=baseline or results.baseline,
        has_baseline=baseline in results.finished_arms,
        metric=results.metric,
        margin=margin,
        standing=standing_of(results.telling),
        arms=tuple(sorted(arms, key=lambda arm: _place(arm, baseline))),
        rule=results.rule,
        trials=results.trials,
    )


def _place(arm: ArmSummary, baseline: str | None) -> tuple[int, float]:
    """Where an arm stands: by its verdict, then by its energy; those without a run at the end."""
    if not arm.n:
        return len(_STANDINGS) + 1, 0.0
    verdict = "non-inferior" if arm.arm == baseline else arm.verdict
    standing = _STANDINGS.index(verdict) if verdict else len(_STANDINGS)
    energy_j = arm.energy_j.mean
    return standing, energy_j if math.isfinite(energy_j) else math.inf


def _summarise_arm(results: StudyResults, arm: str, decision: Decision | None) -> ArmSummary:
    every = results.runs[results.runs["arm"] == arm]
    done = results.finished_of(arm)
    score = results.by_seed(arm, "test_score")
    energy_j = results.by_seed(arm, "energy_j")
    ratio = None
    if decision is not None and len(done):
        ratio = energy_ratio(results, arm, results.baseline_arm or "")
    return ArmSummary(
        arm=arm,
        score=score_interval(score.values(), results.metric),
        energy_j=energy_interval(energy_j.values()),
        uncertainty_j=_mean(done["uncertainty_j"]),
        ratio=ratio,
        decision=decision if len(done) else None,
        co2e_kg=_mean(done["co2e_kg"]),
        duration_s=_mean(done["duration_s"]),
        parameters=_mean(done["parameters"]),
        macs=_mean(done["macs"]),
        parameters_left=_mean(done["parameters"] / done["dense_parameters"]),
        macs_left=_mean(done["macs"] / done["dense_macs"]),
        density=_mean(done["density"]),
        n=len(done),
        failures=len(every) - len(done),
        tuning_j=_mean(every["tuning_j"]) if "tuning_j" in every else math.nan,
    )


def _mean(column: pd.Series) -> float:
    return float(pd.to_numeric(column).mean())
