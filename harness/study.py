"""What to run: a typed study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.engine_settings import EngineSettings
from harness.report_settings import ReportSettings
from harness.settings import (
    Carbon,
    EnergySettings,
    Limits,
    Settings,
    Training,
    WorkloadChoice,
)

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


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
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    """Every method runs once with each."""
    workload: WorkloadChoice
    training: Training = Training()
    methods: Annotated[dict[str, dict[str, Any] | list[dict[str, Any]]], Field(min_length=1)]
    """From a method's name to its hyper-parameters; a list of values is a sweep over them, and a
    list of tables is one set after the other."""
    variants: dict[Name, Variant] = Field(default_factory=dict)
    """Every method runs once in each; the first is what the others are compared with."""
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
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> Study:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each seed may be named once")
        return self
