"""What a study wants its report to answer: the margin, published claims, a decomposition."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from harness.errors import UsageError
from harness.settings.arm_selector import Selector
from harness.settings.metric import ACCURACY, Metric
from harness.settings.settings import Settings
from harness.settings.types import MAX_COUNT, Positive


def _checked(text: str) -> str:
    Selector.parse(text)
    return text


MAX_INFERENCES = 1e15
ArmWords = Annotated[str, AfterValidator(_checked)]
"""Words that choose one arm: a method, then KEY=VALUE where it has several; also variant=NAME."""


class Claim(Settings):
    """A published statement that the study's runs can test."""

    text: Annotated[str, Field(min_length=1)]
    """The statement, in its authors' words where possible."""
    source: str = ""
    """Where it was published."""
    scale: str = ""
    """How far the study is from the published workload, in words: part of every verdict."""
    arm: ArmWords
    """What it is about."""
    against: ArmWords = "dense"
    """What it is compared with."""
    energy_at_most: Positive | None = None
    """Energy that it grants, as a ratio to the other's: "2× less" is 0.5."""
    points_at_least: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Test accuracy that it grants, as percentage points above the other's; 0 is "the same or
    better"."""
    worse_at_most: Annotated[float, Field(ge=-MAX_COUNT, le=MAX_COUNT)] | None = None
    """The same for any metric, in the unit that its differences are shown in: by how much the test
    score may be worse than the other's; below 0, by how much it must be better."""

    @model_validator(mode="after")
    def _says_something(self) -> Claim:
        scores = [self.points_at_least, self.worse_at_most]
        if self.energy_at_most is None and scores == [None, None]:
            raise ValueError(
                "needs energy_at_most, points_at_least or worse_at_most, or there is nothing "
                "to test"
            )
        if None not in scores:
            raise ValueError("points_at_least and worse_at_most: choose one")
        if Selector.parse(self.arm) == Selector.parse(self.against):
            raise ValueError(f"compares {self.arm} with itself")
        return self

    def bound_of(self, metric: Metric) -> float | None:
        """The least difference in score that it grants (the most, where lower is better).

        In the metric's own sign, as it shows differences; None if it grants none.

        Raises:
            UsageError: Points are none of the metric.
        """
        if self.points_at_least is not None:
            _check_points("report.claims: points_at_least", "worse_at_most", metric)
            return self.points_at_least
        return None if self.worse_at_most is None else -metric.sign * self.worse_at_most


class DecompositionStep(Settings):
    """One factor of a decomposition: from the step before to this arm."""

    factor: Annotated[str, Field(min_length=1, max_length=40)]
    """What differs between the two arms, such as "precision"."""
    arm: ArmWords
    """The arm that has it."""


class DecompositionSettings(Settings):
    """Arms in a row, each of which differs from the one before in one factor."""

    start: ArmWords = "dense"
    """The arm to start from."""
    steps: Annotated[tuple[DecompositionStep, ...], Field(min_length=1)]
    """The factors, in order."""

    @model_validator(mode="after")
    def _goes_on(self) -> DecompositionSettings:
        arms = [Selector.parse(words) for words in (self.start, *(s.arm for s in self.steps))]
        for step, before, after in zip(self.steps, arms, arms[1:], strict=False):
            if before == after:
                raise ValueError(f"step '{step.factor}' stays at {step.arm}")
        return self


class ReportSettings(Settings):
    """What the report answers. It may be changed at any time; no run depends on it."""

    margin_points: Annotated[float, Field(gt=0, le=100)] = ACCURACY.margin
    """Loss of test accuracy, in percentage points, up to which a method is called non-inferior to
    dense."""
    margin: Positive | None = None
    """The same for any metric, in the unit that its differences are shown in, in place of
    `margin_points`. Default: the metric's own, such as 0.02 bits per byte."""
    target_score: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Validation score as it is shown, such as 92.5 for 92.5 %, whose shares are the targets of
    energy to score: that of tuned dense training, frozen. Default: what the study's own baseline
    ends with, which moves with its recipe."""
    inferences_per_day: Annotated[float, Field(gt=0, le=MAX_INFERENCES)] | None = None
    """How often a trained network is used: for the energy of a year, and what retraining adds."""
    retrainings_per_year: Annotated[float, Field(ge=0, le=MAX_COUNT)] = 0.0
    """How often the whole recipe is run again while its network is in use; needs
    `inferences_per_day`."""
    claims: tuple[Claim, ...] = ()
    """Published claims to test: a table each, or the id of a registered one, as
    `python -m harness claims` lists them."""
    decomposition: DecompositionSettings | None = None
    """How the energy of one arm came down to that of another, factor by factor."""

    @model_validator(mode="after")
    def _knows_how_often(self) -> ReportSettings:
        if self.retrainings_per_year and self.inferences_per_day is None:
            raise ValueError(
                "retrainings_per_year needs inferences_per_day: how many inferences share a "
                "retraining"
            )
        return self

    def margin_of(self, metric: Metric) -> float:
        """How much worse a score may be, as the metric shows it.

        Raises:
            UsageError: Points are none of the metric.
        """
        if self.margin is not None:
            return self.margin
        if self.margin_points == ACCURACY.margin:  # the default
            return metric.margin
        _check_points("report.margin_points", "report.margin", metric)
        return self.margin_points

    def arms(self) -> dict[str, str]:
        """Every choice of an arm, by its place in the study file."""
        found = {}
        for number, claim in enumerate(self.claims):
            found[f"report.claims.{number}.arm"] = claim.arm
            found[f"report.claims.{number}.against"] = claim.against
        if self.decomposition is not None:
            found["report.decomposition.start"] = self.decomposition.start
            for number, step in enumerate(self.decomposition.steps):
                found[f"report.decomposition.steps.{number}.arm"] = step.arm
        return found


def _check_points(key: str, instead: str, metric: Metric) -> None:
    if metric.difference_unit != ACCURACY.difference_unit:
        raise UsageError(
            f"{key} is in percentage points, but scores are {metric.name}; use {instead}"
        )
