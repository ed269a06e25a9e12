"""What to run: a typed study."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from harness.settings import Carbon, EnergySettings, Settings, Training, WorkloadChoice

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Study(Settings):
    """A list of methods, seeds and one workload."""

    name: Name
    """Names the results folder."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    """Every method runs once with each."""
    workload: WorkloadChoice
    training: Training = Training()
    methods: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    """From a method's name to its hyper-parameters; a list of values is a sweep over them."""
    energy: EnergySettings = EnergySettings()
    carbon: Carbon = Carbon()
    plugins: tuple[str, ...] = ()
    """Python files with further methods, relative to the study file."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> Study:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each seed may be named once")
        return self
