"""How often each method is the cheapest that keeps the accuracy, over several workloads.

A performance profile (Dolan & Moré 2002, Mathematical Programming 91): on each workload the cost of
a method is divided by the lowest cost of any method that solves it; the profile of a method is the
share of workloads on which that ratio is at most τ. Here a workload is a study, the cost is the
mean energy of the whole recipe, and a method solves a workload if it is non-inferior to that
study's baseline at that study's margin; the baseline itself does. What is not shown to be
non-inferior counts as not solved, whatever it cost.

Joules are divided within a workload only, so that studies may differ in device and scope. Methods
are the same if their labels are. Only those that every study ran are compared: shares of different
sets of workloads, or a best that only some competed for, would not be comparable. A method whose
runs all failed was run, and has not solved the workload.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.analysis.summary import Summary, summarise

if TYPE_CHECKING:
    from reports.data import StudyResults

LEAST = 4
"""Of fewer workloads a share says nothing that a table does not say better."""


@dataclass(frozen=True)
class Outcome:
    """A method on a workload.

    Attributes:
        arm: The method's label.
        workload: What the workload is called.
        energy_j: Mean energy of its finished runs; NaN if there is none.
        verdict: Its accuracy against the baseline's: a verdict of non-inferiority, "baseline", or
            "no finished run".
        ratio: Its energy as a ratio to the best of those that solve the workload; infinite if it
            does not solve it.
    """

    arm: str
    workload: str
    energy_j: float
    verdict: str
    ratio: float

    @property
    def solved(self) -> bool:
        """Whether it is shown to keep the accuracy."""
        return math.isfinite(self.ratio)


@dataclass(frozen=True)
class Profile:
    """Methods by workloads.

    Attributes:
        studies: Those with a finished baseline, in which methods could be judged.
        workloads: Their names.
        outcomes: For each method that all of them ran, in order of appearance, its outcomes in the
            workloads' order.
        left_out: Methods that only some ran.
        unjudged: Names of the other studies' workloads.
    """

    studies: tuple[StudyResults, ...]
    workloads: tuple[str, ...]
    outcomes: dict[str, tuple[Outcome, ...]]
    left_out: tuple[str, ...]
    unjudged: tuple[str, ...]

    def share(self, arm: str, tau: float) -> float:
        """Share of workloads that a method solves within τ times the best's energy."""
        outcomes = self.outcomes[arm]
        return sum(each.ratio <= tau for each in outcomes) / len(outcomes)

    def solved(self, arm: str) -> int:
        """On how many workloads a method keeps the accuracy, at any cost."""
        return sum(each.solved for each in self.outcomes[arm])


def profile(studies: Sequence[StudyResults]) -> Profile | None:
    """The profile of studies; None of fewer than four workloads, or of a single method."""
    judged = [study for study in studies if study.baseline_arm in study.finished_arms]
    names = dict(zip(map(id, studies), workload_names(studies), strict=True))
    arms = list(dict.fromkeys(arm for study in judged for arm in study.arms))
    common = [arm for arm in arms if all(arm in study.arms for study in judged)]
    if len(judged) < LEAST or len(common) < 2:
        return None
    workloads = tuple(names[id(study)] for study in judged)
    columns = [
        _outcomes(summarise(study), common, workload)
        for study, workload in zip(judged, workloads, strict=True)
    ]
    return Profile(
        studies=tuple(judged),
        workloads=workloads,
        outcomes={arm: tuple(column[arm] for column in columns) for arm in common},
        left_out=tuple(arm for arm in arms if arm not in common),
        unjudged=tuple(names[id(study)] for study in studies if study not in judged),
    )


def workload_names(studies: Sequence[StudyResults]) -> list[str]:
    """Data and model of each study, with the study's name where another has the same two."""
    plain = []
    for study in studies:
        chosen = study.settings.get("workload", {})
        known = [str(chosen[key]) for key in ("data", "model") if key in chosen]
        plain.append(" / ".join(known) or study.study)
    counts = Counter(plain)
    return [
        name if counts[name] == 1 or name == study.study else f"{name} ({study.study})"
        for name, study in zip(plain, studies, strict=True)
    ]


def _outcomes(summary: Summary, arms: Sequence[str], workload: str) -> dict[str, Outcome]:
    energy_j, verdicts = {}, {}
    for arm in arms:
        found = summary.arm(arm)
        energy_j[arm] = math.nan if found is None else found.energy_j.mean
        verdicts[arm] = (
            "no finished run"
            if found is None
            else "baseline"
            if arm == summary.baseline
            else found.verdict or "inconclusive"
        )
    solving = {
        arm: joules
        for arm, joules in energy_j.items()
        if verdicts[arm] in ("baseline", "non-inferior") and joules > 0
    }
    best = min(solving.values(), default=math.nan)
    return {
        arm: Outcome(
            arm=arm,
            workload=workload,
            energy_j=energy_j[arm],
            verdict=verdicts[arm],
            ratio=solving[arm] / best if arm in solving else math.inf,
        )
        for arm in arms
    }
