"""Errors that end a command early: one message, one exit code, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of commands."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    RUNS_FAILED = 3
    THRESHOLD = 4
    NOT_MEASURABLE = 5
    LIMIT = 6
    INTERRUPTED = 130


class UsageError(Exception):
    """Wrong input. The message names the place and, where there is one, the nearest valid word."""


class MeasurementError(Exception):
    """Energy cannot be measured as asked for; the message has the reason."""


class StorageError(Exception):
    """Results cannot be written any more; the message has the place and the reason."""


class RunError(Exception):
    """A run cannot continue: the loss is not finite, or the method violates its contract."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown `word`: a suggestion, else all known words."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there are none"
