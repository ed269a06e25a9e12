"""From a study to its runs: sweeps spelled out, methods checked, seeds interleaved."""

from __future__ import annotations

import itertools
import math
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.errors import UsageError, nearest
from harness.method.base import Method
from harness.settings.arm_selector import VARIANT, Selector
from harness.settings.messages import tell
from harness.settings.run_spec import RunSpec, in_label, short_labels
from harness.settings.settings import Settings, Training, WorkloadChoice
from harness.study.registry import Registry
from harness.study.study import Study

MAX_RUNS = 100_000
"""More runs than this are a mistake, and listing them would take for ever."""

Arm = tuple[str, Method]
S = TypeVar("S", bound=Settings)
T = TypeVar("T")


def expand(study: Study, registry: Registry) -> list[RunSpec]:
    """All runs of a study, seed by seed as a person would list them; see `in_random_order`.

    Each seed begins with another method; one that relies on the run of another comes after it.

    Raises:
        UsageError: A method, one of its hyper-parameters, a variant, or an arm that the report is
            to speak of is wrong.
    """
    _check_number(study)
    arms = [arm for name in study.methods for arm in _arms(name, study.methods[name], registry)]
    _check_unique(arms)
    _check_relied_on(arms)
    variants = _variants(study)
    several = len(variants) > 1
    _check_report(study, registry)
    _check_rule(study, arms, several)
    return [
        RunSpec(
            study=study.name,
            arm=f"{label} variant={variant}" if several else label,
            method=method.method_name(),
            hyperparameters=method.model_dump(mode="json"),
            seed=seed,
            workload=workload,
            training=training,
            energy=study.energy,
            plugins=study.plugins,
            variant=variant,
        )
        for turn, seed in enumerate(study.all_seeds)
        for label, method in _in_order(_rotated(arms, turn))
        for variant, workload, training in _rotated(variants, turn)
    ]


def _check_rule(study: Study, arms: list[Arm], several: bool) -> None:
    """A rule that waits for verdicts needs something that has one, and something to hold it to."""
    if study.rule is None:
        return
    if not any(method.method_name() == "dense" for _, method in arms):
        raise UsageError("seeds: verdicts are against dense; add that method, or list the seeds")
    if len(arms) < 2 and not several:
        raise UsageError("seeds: nothing is compared with dense; add a method, or list the seeds")


def _check_number(study: Study) -> None:
    """A sweep over several lists grows fast; it is refused before it is spelled out.

    A hyper-parameter that takes a list counts as swept, too, so that the bound is not a sharp one.
    """
    tables = [each if isinstance(each, list) else [each] for each in study.methods.values()]
    arms = sum(
        math.prod(max(len(value), 1) for value in table.values() if isinstance(value, list))
        for table in itertools.chain(*tables)
    )
    if arms * len(study.all_seeds) * max(len(study.variants), 1) > MAX_RUNS:
        raise UsageError(f"methods: more than {MAX_RUNS:,} runs; sweep over less at a time")


def _check_report(study: Study, registry: Registry) -> None:
    """The arms that the report asks for must be of words that exist.

    That none or several answer is no mistake: who runs some of a study's methods, or sweeps one of
    them, leaves claims untested, and the report says so.
    """
    for place, text in study.report.arms().items():
        chosen = Selector.parse(text)
        try:
            kind = registry.get(chosen.method)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
        known = {*kind.model_fields, VARIANT}
        for key in chosen.values:
            if key not in known:
                raise UsageError(f"{place}: {chosen.method} has no '{key}'; {nearest(key, known)}")
        variant = chosen.values.get(VARIANT)
        if variant is not None and study.variants and variant not in study.variants:
            hint = nearest(variant, study.variants)
            raise UsageError(f"{place}: variant '{variant}' is unknown; {hint}")


def _variants(study: Study) -> list[tuple[str | None, WorkloadChoice, Training]]:
    if not study.variants:
        return [(None, study.workload, study.training)]
    return [
        (
            name,
            _changed(study.workload, variant.workload, f"variants.{name}.workload"),
            _changed(study.training, variant.training, f"variants.{name}.training"),
        )
        for name, variant in study.variants.items()
    ]


def _changed(base: S, changes: Mapping[Any, Any], place: str) -> S:
    try:
        return type(base)(**{**base.model_dump(), **changes})
    except ValidationError as error:
        raise UsageError(tell(error, type(base), place)) from None


def _rotated(items: list[T], turn: int) -> list[T]:
    first = turn % max(len(items), 1)
    return items[first:] + items[:first]


def _in_order(arms: list[Arm]) -> list[Arm]:
    """The arms as they come, but each after those that it relies on."""
    ordered: list[Arm] = []
    waiting = list(arms)
    while waiting:
        ready = next(
            (
                arm
                for arm in waiting
                if not any(_answers(n, other) for n in arm[1].relies_on() for _, other in waiting)
            ),
            None,
        )
        if ready is None:
            circle = ", ".join(sorted({method.method_name() for _, method in waiting}))
            raise UsageError(f"methods: circular dependency: {circle}")
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def _answers(selector: str, method: Method) -> bool:
    """Whether a method is the one that another builds on, as `Method.relies_on` names it."""
    return Selector.parse(selector).names(method.method_name(), method.model_dump(mode="json"))


def _check_unique(arms: list[Arm]) -> None:
    for label, count in Counter(label for label, _ in arms).items():
        if count > 1:
            raise UsageError(f"methods.{label}: named twice with the same hyper-parameters")


def _check_relied_on(arms: list[Arm]) -> None:
    for label, method in arms:
        for other in method.relies_on():
            try:
                meant = [found for _, found in arms if _answers(other, found)]
            except ValueError as error:
                raise UsageError(f"methods.{label}: {error}") from None
            if not meant:
                raise UsageError(
                    f"methods.{label}: requires a run of {other}; add that method to the study"
                )
            if len(meant) > 1:
                dumps = [(found.method_name(), found.model_dump(mode="json")) for found in meant]
                raise UsageError(
                    f"methods.{label}: requires a run of {other}, of which the study has "
                    f'{len(meant)}; name one of them, such as "{short_labels(dumps)[0]}"'
                )


def _arms(name: str, given: Any, registry: Registry) -> Iterator[Arm]:
    kind = registry.get(name)
    for values in given if isinstance(given, list) else [given]:
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
    words = (f"{key}={in_label(value)}" for key, value in changed.items())
    return " ".join([method.method_name(), *words])
