"""Where an export goes, and names that are safe there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path


def place(folder: Path, out: str | None, name: str) -> Path:
    """The folder an exporter writes to, made if it is not there.

    Args:
        folder: The study's results.
        out: Where the user wants it; None for a folder beside the results.
        name: The exporter's.
    """
    path = Path(out) if out is not None else folder / "export" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and a hash of all of it if it is longer than `most`."""
    if len(text) <= most:
        return text
    return f"{text[: most - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def plain_keys(keys: Iterable[str]) -> dict[str, str]:
    """From every key to one of letters, digits, `_`, `.` and `-` that no other has.

    Methods and plugins name facts and windows as they like; trackers make folders of slashes, and
    refuse other characters.
    """
    found: dict[str, str] = {}
    for key in keys:
        plain = shortened(re.sub(r"[^A-Za-z0-9_.-]", "_", key).lstrip(".-") or "_", 200)
        if plain in found.values():
            plain += f"-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        found[key] = plain
    return found
