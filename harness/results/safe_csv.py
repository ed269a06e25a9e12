"""Tables as CSV that a spreadsheet shows as they are, whoever's texts are in them.

Foreign text, such as the name of a method or a host, made harmless where it is shown.
"""

from __future__ import annotations

import re
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


_MARKUP = re.compile(r"[\\`*_{}\[\]<>|#~$&]")
_CALLING = re.compile(r"@|:(?=//)|www(?=\.)")
_WORD_JOINER = "\u2060"


def one_line(text: str) -> str:
    """The text on one line; what a terminal would obey, or turn around, is spelled out."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )


def in_markdown(text: str) -> str:
    """The text as it is: nothing in it becomes markup, or another line."""
    return _MARKUP.sub(lambda found: f"\\{found[0]}", one_line(text))


def quiet(markdown: str) -> str:
    """Markdown in which no text becomes a link or calls a person, by characters without width."""
    return _CALLING.sub(lambda found: f"{found[0]}{_WORD_JOINER}", markdown)
