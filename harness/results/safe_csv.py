"""Makes third-party text harmless where it is shown: in CSV, Markdown and on a terminal.

Names of methods and hosts may hold formulas, markup, links or control characters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of a cell that a spreadsheet takes for a formula."""


def inert_csv(table: pd.DataFrame) -> str:
    """The table as CSV, one line per row; texts that would be formulas get a `'` in front.

    Numbers are not changed, not even in columns of text.
    """
    safe = table.rename(columns=_inert)
    for number, column in enumerate(safe.dtypes):
        if column.kind not in "biufc":
            safe.isetitem(number, [_inert(value) for value in safe.iloc[:, number]])
    return safe.to_csv(index=False, lineterminator="\n")


def _inert(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    line = value.replace("\r", " ")  # alone it would end a row, and writers do not quote it
    return f"'{line}" if value.startswith(_FORMULA) and not _is_number(value) else line


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_MARKUP = re.compile(r"[\\`*_{}\[\]<>|#~$&]")
_CALLING = re.compile(r"@|:(?=//)|www(?=\.)")
_WORD_JOINER = "\u2060"


def one_line(text: str) -> str:
    """The text on one line; control and direction characters are escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )


def in_markdown(text: str) -> str:
    """The text escaped for Markdown: nothing in it becomes markup, or another line."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", one_line(text))


def quiet(markdown: str) -> str:
    """Markdown in which no text becomes a link or mention, by zero-width characters."""
    return _CALLING.sub(lambda found: f"{found[0]}{_WORD_JOINER}", markdown)
