"""What a check found: the unit of `check-method` and `selftest`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        holds: Whether it is as it must be.
        text: What was tried; if it does not hold, what was seen and what to do.
    """

    holds: bool
    text: str
