"""What to run: a typed study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from harness.settings.engine import EngineSettings
from harness.settings.messages import SILENT
from harness.settings.report import ReportSettings
from harness.settings.settings import (
    Carbon,
    EnergySettings,
    Limits,
    Settings,
    Training,
    WorkloadChoice,
)
from harness.settings.tuning import TuningSettings

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


MAX_SEEDS = 100
"""A rule that might add more seeds than this would decide nothing sooner."""


class UntilDecided(Settings):
    """A rule that adds seeds, from 0 on, until every verdict against dense is decided.

    Each look at the results is a chance to err; the verdicts allow for all of them together.
    """

    until: Literal["decided"] = "decided"
    """What ends it."""
    min: Annotated[int, Field(ge=2, le=MAX_SEEDS)] = 3
    """Seeds that every method runs with before the first look."""
    max: Annotated[int, Field(ge=2, le=MAX_SEEDS)] = 10
    """Seeds that no method runs with more of, decided or not."""

    @model_validator(mode="after")
    def _min_is_less(self) -> UntilDecided:
        if self.min >= self.max:
            raise ValueError(f"min = {self.min} must be less than max = {self.max}")
        return self


UNTIL_DECIDED = "until decided"


def rule_of(saved: Mapping[str, Any]) -> UntilDecided | None:
    """How a study adds seeds, as it was saved; None if it lists them."""
    seeds = saved.get("seeds")
    return UntilDecided.model_validate(seeds) if isinstance(seeds, dict) else None


def _rule_in_words(value: Any) -> Any:
    """The rule with its defaults, where that is what a text says."""
    if not isinstance(value, str):
        return value
    if " ".join(value.split()) != UNTIL_DECIDED:
        raise ValueError(f'must be a list of seeds or "{UNTIL_DECIDED}", not {value!r}')
    return UntilDecided()


def _kind_of_seeds(value: Any) -> str:
    return f"{SILENT}rule" if isinstance(value, dict | UntilDecided) else f"{SILENT}list"


Seeds = Annotated[
    Annotated[tuple[Seed, ...], Field(min_length=1), Tag(f"{SILENT}list")]
    | Annotated[UntilDecided, Tag(f"{SILENT}rule")],
    Discriminator(_kind_of_seeds),
    BeforeValidator(_rule_in_words),
]


class Variant(Settings):
    """What some of a study's runs do otherwise, such as their precision or their input."""

    workload: dict[Literal["input", "workers"], Any] = Field(default_factory=dict)
    """Keys of the study's `workload` that say how samples are read, not which."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Keys of the study's `training`."""


class Study(Settings):
    """A list of methods, seeds and one workload."""

    name: Name
    """Names the results folder."""
    seeds: Seeds
    """Every method runs once with each; or "until decided", a rule that adds seeds."""
    workload: WorkloadChoice
    training: Training = Training()
    methods: Annotated[dict[str, dict[str, Any] | list[dict[str, Any]]], Field(min_length=1)]
    """From a method's name to its hyper-parameters; a list of values is a sweep over them, and a
    list of tables is one set after the other."""
    variants: dict[Name, Variant] = Field(default_factory=dict)
    """Every method runs once in each; the first is what the others are compared with."""
    tuning: TuningSettings = TuningSettings()
    """How the recipe of each method is tuned before its runs."""
    energy: EnergySettings = EnergySettings()
    limits: Limits = Limits()
    engine: EngineSettings = EngineSettings()
    carbon: Carbon = Carbon()
    report: ReportSettings = ReportSettings()
    plugins: tuple[str, ...] = ()
    """Python files with further methods, relative to the study file."""

    @model_validator(mode="after")
    def _no_joule_is_of_two_runs(self) -> Study:
        if self.engine.at_once > 1 and self.energy.gpus == "all":
            raise ValueError(
                'energy.gpus: "all" would count GPUs of one run for another; '
                'with engine.at_once above 1 it must be "used"'
            )
        if self.engine.at_once > 1 and self.energy.scope == "machine":
            raise ValueError(
                'energy.scope: what a meter of the whole "machine" shows cannot be divided between '
                'runs; with engine.at_once above 1 it must be "parts"'
            )
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> Study:
        if len(set(self.all_seeds)) < len(self.all_seeds):
            raise ValueError("seeds: each seed may be named once")
        return self

    @model_validator(mode="after")
    def _tuning_is_apart(self) -> Study:
        if not self.tuning.space:
            return self
        if self.variants:
            raise ValueError("tuning: not together with variants; give one recipe to tune")
        if self.rule is not None:
            raise ValueError("tuning: not together with seeds until decided; list the seeds")
        if self.tuning.seed in self.all_seeds:
            raise ValueError(
                f"tuning.seed: {self.tuning.seed} is one of the study's seeds, which would favour "
                "what was chosen by it; take another"
            )
        return self

    @property
    def rule(self) -> UntilDecided | None:
        """How seeds are added; None if they are listed."""
        return self.seeds if isinstance(self.seeds, UntilDecided) else None

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed that a method may run with."""
        if isinstance(self.seeds, UntilDecided):
            return tuple(range(self.seeds.max))
        return self.seeds
