"""What several tables and figures ask of a study, found once."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from reports.data import StudyResults

Found = TypeVar("Found")


def once(find: Callable[[StudyResults], Found]) -> Callable[[StudyResults], Found]:
    """Find something of each study at most once; kept as long as the study is.

    For functions of nothing but the study, whose answers nobody changes.
    """
    known: WeakKeyDictionary[StudyResults, Found] = WeakKeyDictionary()

    @wraps(find)
    def found(results: StudyResults) -> Found:
        if results not in known:
            known[results] = find(results)
        return known[results]

    return found
