"""JSON files as this or an older version wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.spec import SCHEMA


def read_saved(path: Path) -> dict[str, Any]:
    """What a file of a results folder says.

    Raises:
        UsageError: It is damaged, or was written by a newer version.
    """
    try:
        saved = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: damaged: {error}") from None
    if not isinstance(saved, dict):
        raise UsageError(f"{path}: damaged: not a JSON object")
    version = saved.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA:
        raise UsageError(
            f"{path}: written in format {version}, this version reads up to {SCHEMA}; "
            "upgrade energy-harness"
        )
    return saved
