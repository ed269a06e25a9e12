"""Damage, as it happens and as somebody might mean it. Everything follows from a seed."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

TEXTS = (
    "",
    " ",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "a/../../b",
    "C:\\Windows\\System32",
    "nul\x00byte",
    "line\nbreak",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "\ufeffname",
    "\U0001f525" * 40,
    "x" * 100_000,
    "%s%n%d {0} {x.__class__}",
    "$(touch /tmp/owned) `id`",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "]]></style><svg onload=alert(1)>",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "| md | table |\n|---|",
    "dense",
    "early_bird prune_ratio=0.3",
    "torchvision/resnet18",
    "torchvision/../os",
    "__class__",
    "NaN",
)
NUMBERS = (
    *(0, 1, -1, 2, 7, 255, 256, 2**31 - 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("inf"), float("-inf"), float("nan")),
)
OTHERS = (True, False, [], {}, [[]], [{}], {"": ""}, [0] * 1000, list(range(200)))


def value(chance: random.Random) -> Any:
    """Something that hardly anybody meant."""
    kind = chance.random()
    if kind < 0.4:
        return chance.choice(TEXTS)
    if kind < 0.8:
        return chance.choice(NUMBERS)
    return copy.deepcopy(chance.choice(OTHERS))


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested tables and lists."""
    found = [path] if path else []
    if isinstance(tree, dict):
        found += [place for key, each in tree.items() for place in places(each, (*path, key))]
    elif isinstance(tree, list):
        found += [place for n, each in enumerate(tree) for place in places(each, (*path, n))]
    return found


def mutate(tree: Any, chance: random.Random) -> Any:
    """Another value, a key more or less, or a copy of one place at another; once."""
    tree = copy.deepcopy(tree)
    found = places(tree)
    if not found:
        return value(chance)
    *way, last = chance.choice(found)
    holder = tree
    for step in way:
        holder = holder[step]
    what = chance.random()
    if what < 0.6:
        holder[last] = value(chance)
    elif what < 0.7:
        del holder[last]
    elif what < 0.85 and isinstance(holder, dict):
        holder[chance.choice(TEXTS)] = value(chance)
    else:
        other = tree
        for step in chance.choice(found):
            other = other[step]
        holder[last] = copy.deepcopy(other)
    return tree


def torn(content: bytes, chance: random.Random) -> bytes:
    """Bytes turned over, cut off, taken out, doubled or put in; once."""
    at, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    what = chance.randrange(6)
    if what == 0:
        return content[:at]
    if what == 1:
        return content[:at] + content[end:]
    if what == 2:
        return content[:end] + content[at:end] + content[end:]
    if what == 3:
        return content[:at] + chance.randbytes(chance.randrange(1, 40)) + content[at:]
    if what == 4:
        return b""
    turned = bytearray(content)
    for _ in range(chance.randrange(1, 8)):
        if turned:
            turned[chance.randrange(len(turned))] = chance.randrange(256)
    return bytes(turned)


def toml(tree: dict[str, Any]) -> str:
    """A table as TOML, a line a key."""
    return "".join(f"{_text(key)} = {_inline(each)}\n" for key, each in tree.items())


def _inline(each: Any) -> str:
    if isinstance(each, dict):
        inner = ", ".join(f"{_text(key)} = {_inline(value)}" for key, value in each.items())
        return f"{{ {inner} }}"
    if isinstance(each, list):
        return f"[{', '.join(map(_inline, each))}]"
    if isinstance(each, bool):
        return str(each).lower()
    if isinstance(each, str):
        return _text(each)
    return str(each)


def _text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c for c in quoted)
