"""Keeps `methods` and `reports` the harness's own, whatever is in the current folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from harness.errors import UsageError

_OWN = frozenset({"methods", "reports"})
_ROOT = Path(__file__).resolve().parents[2]


class _OwnPackages(MetaPathFinder):
    """Finds the harness's packages beside it, ahead of `sys.path`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _OWN or path is not None:
            return None
        return PathFinder.find_spec(fullname, [str(_ROOT)], target)


def prefer_own_packages() -> None:
    """Import `methods` and `reports` from beside `harness` in this process from now on.

    `python -m` puts the current folder first in `sys.path`, and people keep their own methods in
    a folder of that name. Only processes that belong to the harness call this: in a user's program
    it would hide the user's packages instead.
    """
    if not any(isinstance(finder, _OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnPackages())


def check_own(package: ModuleType) -> None:
    """Check that an imported `methods` or `reports` is the harness's own.

    Raises:
        UsageError: It is another package of that name.
    """
    places = [Path(place).resolve() for place in getattr(package, "__path__", [package.__file__])]
    if _ROOT / package.__name__ not in places:
        raise UsageError(
            f"the package '{package.__name__}' of this program, {places[0]}, hides the one of "
            "energy-harness; rename it, or use the command line, `python -m harness`"
        )
