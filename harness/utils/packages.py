"""Which packages of an extra are installed here, and what packages add to the harness."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any


def entry_points_of(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group that the packages of `sys.path` have."""
    return tuple(_all_entry_points(tuple(sys.path)).select(group=group))


@functools.cache
def _all_entry_points(_path: tuple[str, ...]) -> Any:
    # Every package's file is read for it: ten milliseconds, several times a command.
    return entry_points()


def not_installed(*modules: str) -> list[str]:
    """The packages of those modules that cannot be imported."""
    return [module.partition(".")[0] for module in modules if not _is_there(module)]


def _is_there(module: str) -> bool:
    """Whether there is code; an empty folder of that name is none."""
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # the package that it is in
        return False
    return found is not None and found.origin is not None
