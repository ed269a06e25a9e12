"""From a study to its runs: sweeps spelled out, methods checked, seeds interleaved."""

from __future__ import annotations

import itertools
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from harness.errors import UsageError
from harness.method import Method
from harness.registry import Registry
from harness.spec import RunSpec
from harness.study import Study
from harness.validation import tell


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
    changed = method.model_dump(mode="json", exclude_defaults=True)
    return " ".join([method.method_name(), *(f"{key}={value}" for key, value in changed.items())])
