"""How the recipe of each method is tuned before the runs of a study."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from harness.errors import nearest
from harness.settings.settings import Settings, Training

MAX_TRIALS = 1024
"""More trials than this are no tuning that a study could pay for."""
_FIXED = frozenset({"epochs"})
"""Keys of the recipe that are every method's budget, not its to choose."""
Bound = Annotated[float, Field(ge=-1e9, le=1e9)]


class Axis(Settings):
    """Values that one key of the recipe may have: from `low` to `high`, or one of `choices`."""

    low: Bound | None = None
    """The least value."""
    high: Bound | None = None
    """The largest value."""
    log: bool = False
    """Whether values are spread evenly over their logarithm."""
    choices: tuple[Any, ...] = ()
    """The values themselves, in place of `low` and `high`."""

    @model_validator(mode="after")
    def _is_one_of_two_kinds(self) -> Axis:
        ends = (self.low, self.high)
        if self.choices:
            if ends != (None, None) or self.log:
                raise ValueError("choices are given with low, high or log; leave one kind out")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low = {self.low:g} must be less than high = {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, not {self.low:g}")
        return self


class TuningSettings(Settings):
    """Tune the recipe of every method before its runs, with as many trials each.

    A trial is a run of the method with one value per key of `space`. The values are points of a
    scrambled Sobol sequence, the same for every method; trial 0 has the study's own recipe. Each
    method then runs with the recipe of its best score on validation data. Without a `space` nothing
    is tuned.
    """

    space: dict[str, Axis] = Field(default_factory=dict)
    """From a key of `training` to its values: `{ low, high, log }`, or `{ choices }`."""
    trials: Annotated[int, Field(ge=2, le=MAX_TRIALS)] = 8
    """Trials per method, the study's own recipe among them."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1000
    """Seed of every trial and of the points; none of the study's, so that no recipe is
    chosen by a seed that it is judged by."""
    halvings: Annotated[int, Field(ge=0, le=10)] = 0
    """How often the better half of the trials is kept and trained anew for twice as long
    (successive halving); the last trials train as long as the study's runs."""

    @field_validator("space")
    @classmethod
    def _keys_are_of_the_recipe(cls, space: dict[str, Axis]) -> dict[str, Axis]:
        known = Training.model_fields.keys() - _FIXED
        for key in space:
            if key in _FIXED:
                raise ValueError(f"'{key}' is the budget of every method, which is not tuned")
            if key not in known:
                raise ValueError(f"'{key}' is no key of training; {nearest(key, known)}")
        return space

    @model_validator(mode="after")
    def _has_a_space(self) -> TuningSettings:
        if self.model_fields_set and "space" not in self.model_fields_set:
            raise ValueError("space is missing: the keys of training to tune, with their values")
        return self

    @model_validator(mode="after")
    def _some_reach_full_length(self) -> TuningSettings:
        if self.trials < 2 ** (self.halvings + 1):
            raise ValueError(
                f"halvings = {self.halvings} leave fewer than two of {self.trials} trials to train "
                "at full length; take more trials, or fewer halvings"
            )
        return self

    def lengths(self, epochs: int) -> tuple[int, ...]:
        """Epochs of the trials of each rung, the last as long as the study's runs."""
        return tuple(epochs // 2**rung for rung in range(self.halvings, -1, -1))
