"""Tables as CSV that a spreadsheet shows as they are, whoever's texts are in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


def inert_csv(table: pd.DataFrame) -> str:
    """The table as CSV, a line a row; texts that would be formulas get a `'` in front.

    Numbers stay as they are, also where they stand among texts.
    """
    safe = table.rename(columns=_inert)
    for number, column in enumerate(safe.dtypes):
        if column.kind not in "biufc":
            safe.isetitem(number, [_inert(value) for value in safe.iloc[:, number]])
    return safe.to_csv(index=False, lineterminator="\n")


def _inert(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    line = value.replace("\r", " ")  # alone it would end a row, and nobody quotes it
    return f"'{line}" if value.startswith(_FORMULA) and not _is_number(value) else line


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
