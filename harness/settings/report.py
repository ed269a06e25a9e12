"""What a study wants its report to answer: the margin, published claims, a decomposition."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from harness.settings.arm_selector import Selector
from harness.settings.settings import Settings
from harness.settings.types import Positive


def _checked(text: str) -> str:
    Selector.parse(text)
    return text


ArmWords = Annotated[str, AfterValidator(_checked)]
"""Words that choose one arm: a method, then KEY=VALUE where it has several; also variant=NAME."""


class Claim(Settings):
    """A published statement that the study's runs can test."""

    text: Annotated[str, Field(min_length=1)]
    """The statement, in its authors' words where possible."""
    source: str = ""
    """Where it was published."""
    arm: ArmWords
    """What it is about."""
    against: ArmWords = "dense"
    """What it is compared with."""
    energy_at_most: Positive | None = None
    """Energy that it grants, as a ratio to the other's: "2× less" is 0.5."""
    points_at_least: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Test accuracy that it grants, as percentage points above the other's; 0 is "the same or
    better"."""

    @model_validator(mode="after")
    def _says_something(self) -> Claim:
        if self.energy_at_most is None and self.points_at_least is None:
            raise ValueError("needs energy_at_most or points_at_least, or there is nothing to test")
        if Selector.parse(self.arm) == Selector.parse(self.against):
            raise ValueError(f"compares {self.arm} with itself")
        return self


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

    margin_points: Annotated[float, Field(gt=0, le=100)] = 0.5
    """Loss of test accuracy, in percentage points, up to which a method is called non-inferior to
    dense."""
    claims: tuple[Claim, ...] = ()
    """Published claims to test."""
    decomposition: DecompositionSettings | None = None
    """How the energy of one arm came down to that of another, factor by factor."""

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
