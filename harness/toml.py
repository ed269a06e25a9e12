"""TOML from anywhere: whatever is wrong with it is one kind of error."""

from __future__ import annotations

import tomllib
from typing import Any

MOST_BYTES = 1_000_000
"""No study is longer; a reader need not be let to choke on what is."""


def parse(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ValueError: It is not TOML, too long, or nested too deeply.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"longer than {MOST_BYTES:,} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
