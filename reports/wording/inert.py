"""Foreign text, such as the name of a method or a host, made harmless where it is shown."""

from __future__ import annotations

import re

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
