"""What the lines of a journal must say to be events: a journal may come from anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

MOST = 2**63
"""Whole numbers stay below: they fit into 64 bits."""
_STATUSES = frozenset({"interrupted", "failed", "done"})

Check = Callable[[Any], bool]


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MOST and math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _clocks(value: Any) -> bool:
    keys = ("node", "time_ns", "uncertainty_ns")
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and all(_count(each.get(key)) for key in keys)
        and type(each.get("offset_ns")) is int
        and abs(each["offset_ns"]) < MOST
        for each in value
    )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_texts, value.values()))


_SIZE: dict[str, Check] = {
    "parameters": _count,
    "macs": _count,
    "density": _number,
    "uncounted": _texts,
}
_KEYS: dict[str, dict[str, Check]] = {
    "attempt": {"number": _count, "restored": _count},
    "fingerprint": {"code": _hashes, "data": _table},
    "dense": _SIZE,
    "threads": {"threads": _count},
    "border": {"window": _text},
    "phase": {"phase": _count, "window": _text, "kind": _text},
    "epoch": {
        "window": _text,
        "epoch": _count,
        "of": _count,
        "epochs_trained": _number,
        "val_accuracy": _or_none(_number),
    },
    "size": _SIZE,
    "record": {"facts": _table},
    "answer": {"phase": _count, "description": _table},
    "checkpoint": {"number": _count, "phase": _count, "epoch": _count},
    "result": {
        **_SIZE,
        "test_accuracy": _number,
        "test_samples": _count,
        "test_correct": _or_none(_text),
    },
    "clocks": {"nodes": _clocks},
    "end": {"status": _STATUSES.__contains__},
    "died": {"status": _STATUSES.__contains__},
}
"""By kind, what each key must be, where it is given."""
_NEEDED: dict[str, tuple[str, ...]] = {
    "attempt": ("number", "restored"),
    "border": ("window",),
    "epoch": ("epochs_trained",),
    "fingerprint": ("code", "data"),
    "record": ("facts",),
    "answer": ("phase", "description"),
    "checkpoint": ("number",),
    "clocks": ("nodes",),
    "end": ("status",),
    "died": ("status",),
}
"""By kind, the keys without which it says nothing; of others older versions say less."""


def is_event(line: Any) -> bool:
    """Whether a line is an event that a reader can rely on; of unknown kinds, whatever they say."""
    if not isinstance(line, dict) or not _count(line.get("time_ns")):
        return False
    kind = line.get("event")
    if not isinstance(kind, str):
        return False
    try:
        sound = all(check(line[key]) for key, check in _KEYS.get(kind, {}).items() if key in line)
    except TypeError:  # a status that is a list
        return False
    return sound and all(key in line for key in _NEEDED.get(kind, ()))
