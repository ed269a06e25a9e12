"""A cache for what several tables and figures compute from a study."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from reports.data import StudyResults

Found = TypeVar("Found")


def once(find: Callable[[StudyResults], Found]) -> Callable[[StudyResults], Found]:
    """Cache a function's result per study, for as long as the study exists.

    For functions of the study alone, whose results are not modified.
    """
    known: WeakKeyDictionary[StudyResults, Found] = WeakKeyDictionary()

    @wraps(find)
    def found(results: StudyResults) -> Found:
        if results not in known:
            known[results] = find(results)
        return known[results]

    return found
