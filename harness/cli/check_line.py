"""How `doctor` and `selftest` tell one thing that they looked at."""

from __future__ import annotations


def check_line(*, ok: bool, text: str, todo: str | None = None) -> str:
    """A line with its mark and, beneath, what to do."""
    mark = "ok  " if ok else "--  "
    return f"{mark}{text}" + (f"\n    → {todo}" if todo else "")
