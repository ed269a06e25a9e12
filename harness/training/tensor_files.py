"""Files of tensors: written whole or not at all, read without running anything inside them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from harness.utils.atomic_write import write_atomically


def save(path: Path, content: dict[str, Any]) -> None:
    """Replace the file; `content` is tensors and plain values."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The content of the file, its tensors on `device`; None if there is no file."""
    if not path.exists():
        return None
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return content
