"""One run, fully spelled out: what a worker needs and what names its folder."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import UsageError
from harness.method import Method
from harness.registry import Registry
from harness.settings import EnergySettings, Training, WorkloadChoice
from harness.study import Study
from harness.validation import tell

SCHEMA = 1
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

    @property
    def key(self) -> str:
        """A stable hash of all that decides the result (not of how its energy is measured)."""
        told = self.model_dump(
            mode="json", include={"method", "hyperparameters", "seed", "workload", "training"}
        )
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """How the run is called in messages."""
        return f"{self.arm}, seed {self.seed}"


def expand(study: Study, registry: Registry) -> list[RunSpec]:
    """All runs of a study, interleaved, so that no method has one hot hour to itself.

    Seeds are outermost, and each seed begins with another method.

    Raises:
        UsageError: A method or one of its hyper-parameters is wrong.
    """
    arms = [arm for name, values in study.methods.items() for arm in _arms(name, values, registry)]
    return [
        RunSpec(
            study=study.name,
            arm=label,
            method=method.method_name(),
            hyperparameters=method.model_dump(mode="json"),
            seed=seed,
            workload=study.workload,
            training=study.training,
            energy=study.energy,
            plugins=study.plugins,
        )
        for turn, seed in enumerate(study.seeds)
        for label, method in _rotated(arms, turn)
    ]


def _rotated(arms: list[tuple[str, Method]], turn: int) -> list[tuple[str, Method]]:
    first = turn % max(len(arms), 1)
    return arms[first:] + arms[:first]


def _arms(name: str, values: dict[str, Any], registry: Registry) -> Iterator[tuple[str, Method]]:
    kind = registry.get(name)
    swept = {key: _choices(kind, key, value) for key, value in values.items()}
    for key, choices in swept.items():
        if not choices:
            raise UsageError(f"methods.{name}.{key}: the list of values is empty")
    for combination in itertools.product(*swept.values()):
        chosen = dict(zip(swept, combination, strict=True))
        try:
            method = kind(**chosen)
        except ValidationError as error:
            raise UsageError(tell(error, kind, f"methods.{name}")) from None
        yield _label(method), method


def _choices(kind: type[Method], key: str, value: Any) -> list[Any]:
    takes_list = key in kind.model_fields and _is_sequence(kind.model_fields[key].annotation)
    if not isinstance(value, list) or (takes_list and not all(isinstance(v, list) for v in value)):
        return [value]
    return value


def _is_sequence(annotation: Any) -> bool:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return any(map(_is_sequence, typing.get_args(annotation)))
    return (typing.get_origin(annotation) or annotation) in (list, tuple)


def _label(method: Method) -> str:
    """The method's name and the hyper-parameters that differ from its defaults."""
    defaults = {name: field.default for name, field in type(method).model_fields.items()}
    changed = {k: v for k, v in method.model_dump(mode="json").items() if v != defaults[k]}
    return " ".join([method.method_name(), *(f"{key}={value}" for key, value in changed.items())])


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
        " ".join([method, *(f"{key}={values.get(key)}" for key in _differing(alike[method]))])
        for method, values in listed
    ]


def _differing(arms: list[dict[str, Any]]) -> list[str]:
    return [key for key in arms[0] if any(arm.get(key) != arms[0][key] for arm in arms)]


def folder_name(arm: str) -> str:
    """A readable folder name for an arm; a hash is added where characters had to give way."""
    plain = re.sub(r"[^A-Za-z0-9._=-]+", "_", arm).strip(".")[:80]
    if plain and plain.replace("_", " ") == arm.replace("_", " "):
        return plain
    return f"{plain or 'arm'}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"
