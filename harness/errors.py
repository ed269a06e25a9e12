"""What ends a command early, and how it is told: one message, one exit code, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees when a command ends."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    RUNS_FAILED = 3
    THRESHOLD = 4
    NOT_MEASURABLE = 5
    LIMIT = 6
    INTERRUPTED = 130


class UsageError(Exception):
    """A wrong input. Its text names the place and, where there is one, the nearest right word."""


class MeasurementError(Exception):
    """Energy cannot be measured as asked for. Its text says why."""


class StorageError(Exception):
    """Results cannot be written any more. Its text says where and why; what was written stays."""


class RunError(Exception):
    """A run that cannot go on: the loss is not finite, or the method breaks its word."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown `word`: a suggestion, else what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are none"
