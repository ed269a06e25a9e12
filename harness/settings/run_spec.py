"""One run, fully spelled out: what a worker needs and what names its folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.settings.settings import WHEREABOUTS, EnergySettings, Training, WorkloadChoice

SCHEMA = 3
"""Version of the files in a results folder (see results/README.md)."""


class RunSpec(BaseModel):
    """One method with one seed on one workload."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA
    study: str
    arm: str
    method: str
    hyperparameters: dict[str, Any]
    seed: int
    workload: WorkloadChoice
    training: Training
    energy: EnergySettings
    plugins: tuple[str, ...] = ()
    variant: str | None = None
    """The study's name for what this run's workload and training differ by."""

    @property
    def key(self) -> str:
        """A stable hash of all that decides the result (not of how its energy is measured)."""
        content = self.model_dump(
            mode="json",
            include={"method", "hyperparameters", "seed", "workload", "training"},
            exclude={"workload": set(WHEREABOUTS)},
        )
        # None is "not given": runs made before a method had an option keep their key.
        given = {
            name: value for name, value in content["hyperparameters"].items() if value is not None
        }
        content["hyperparameters"] = given
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """How the run is called in messages."""
        return f"{self.arm}, seed {self.seed}"


def workloads_of(specs: Iterable[RunSpec]) -> list[WorkloadChoice]:
    """Each data set and model of some runs, once."""
    return list(dict.fromkeys(spec.workload for spec in specs))


def short_labels_of(specs: Iterable[RunSpec]) -> list[str]:
    """The shortest labels that tell the arms of the given runs apart."""
    return short_labels(
        (spec.method, spec.hyperparameters | ({"variant": spec.variant} if spec.variant else {}))
        for spec in specs
    )


def short_labels(arms: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    """The shortest labels that tell the given arms apart: the method, and what differs within it.

    Args:
        arms: Method name and hyper-parameters; equal arms get equal labels.
    """
    listed = list(arms)
    alike: dict[str, list[dict[str, Any]]] = {}
    for method, values in listed:
        alike.setdefault(method, []).append(values)
    return [
        " ".join(
            [method, *(f"{key}={in_label(values.get(key))}" for key in _differing(alike[method]))]
        )
        for method, values in listed
    ]


def in_label(value: Any) -> str:
    """A value as a label shows it; several words stand in quotes, as a selector reads them."""
    return f"'{value}'" if isinstance(value, str) and " " in value else str(value)


def _differing(arms: list[dict[str, Any]]) -> list[str]:
    return [key for key in arms[0] if any(arm.get(key) != arms[0][key] for arm in arms)]


def folder_name(arm: str) -> str:
    """A readable folder name for an arm; a hash is added where characters had to give way."""
    plain = re.sub(r"[^A-Za-z0-9._=-]+", "_", arm).strip(".")[:80]
    if plain and plain.replace("_", " ") == arm.replace("_", " "):
        return plain
    return f"{plain or 'arm'}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"
