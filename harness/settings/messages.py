"""Messages about wrong settings: the key, what is wrong, and the nearest right word; safe TOML."""

from __future__ import annotations

import tomllib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from harness.errors import nearest

SILENT = "="
"""Begins the tag of one kind of several that a value may have; places are reported without it."""


def tell(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """All findings of `error`, a line each.

    Args:
        error: What pydantic raised.
        model: The model that was to be built, to find the names it knows.
        prefix: The place of the model itself, such as "methods.early_bird".
    """
    findings = error.errors()
    return "\n".join(_line(each, model, prefix) for each in findings if not _follows(each))


def _follows(finding: Any) -> bool:
    """Whether a finding only follows from another: a list is "too short" for its wrong items."""
    return bool(finding["type"] == "too_short" and finding["input"])


def _line(finding: Any, model: type[BaseModel], prefix: str) -> str:
    steps = [step for step in finding["loc"] if not str(step).startswith(SILENT)]
    place = ".".join(map(str, ([prefix] if prefix else []) + steps))
    match finding["type"]:
        case "extra_forbidden":
            word = str(finding["loc"][-1])
            return f"{place}: unknown key; {nearest(word, _keys(model, finding['loc'][:-1]))}"
        case "missing":
            return f"{place}: missing"
        case "literal_error":
            given = finding["input"]
            known = finding["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{place}: {given!r} is unknown; {nearest(str(given), known)}"
        case "too_short":
            return f"{place}: must not be empty"
        case "value_error":
            return f"{place}: {finding['ctx']['error']}".removeprefix(": ")
    message = finding["msg"].replace("Input should", "should")
    return f"{place}: {message}, not {_shown(finding['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    for step in place:
        if str(step).startswith(SILENT):
            continue
        field = model.model_fields.get(str(step))
        inner = field and next(
            (kind for kind in _kinds(field.annotation) if _is_model(kind)),
            None,
        )
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _kinds(annotation: Any) -> list[Any]:
    """What a value may be: the annotation, and what it is a choice between."""
    return [annotation, *(kind for each in get_args(annotation) for kind in _kinds(each))]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


MAX_BYTES = 1_000_000
"""No study is longer; a reader need not be let to choke on what is."""


def parse(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ValueError: It is not TOML, too long, or nested too deeply.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES:,} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
