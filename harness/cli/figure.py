"""`figure`: one figure of a study, in the size and type that a journal asks for."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import UsageError, nearest
from harness.results.table import Tables

if TYPE_CHECKING:
    from reports.figures.figured import Figured

KINDS = ("pdf", "svg", "png")
_IN = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72}
_NARROWEST_IN, _WIDEST_IN = 2.5, 20.0
_DPI = 300


def make_figure(
    name: str,
    folder: str,
    *,
    width: str | None,
    font: str | None,
    titled: bool,
    kind: str,
    out: str | None,
) -> None:
    """Draw one figure of a study, and write it with its captions beside it.

    Raises:
        UsageError: There is no such figure, or not of this study; the width is none; or the file
            cannot be written.
    """
    width_in = _width_in(width) if width else None
    tables = Tables(Path(folder))
    from reports.drawing import style
    from reports.figures.gallery import FIGURES
    from reports.reading import study_results

    if name not in FIGURES:
        raise UsageError(f"figure '{name}' is unknown; {nearest(name, FIGURES)}")
    asked = style.Format(width_in or style.WIDTH_IN, _installed(font) if font else "", titled)
    path = Path(out) if out else Path(f"{name}.{kind}")
    if path.suffix != f".{kind}":
        raise UsageError(f"--out {path}: must end in .{kind}, or choose another --format")
    with style.formatted(asked):
        figured: Figured | None = FIGURES[name](study_results(tables))
        if figured is None:
            raise UsageError(f"figure '{name}': {folder} holds nothing that it could show")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            style.write(figured.figure, path, kind, _DPI)
            captions = path.with_suffix(".txt")
            captions.write_text(f"{figured.brief}\n\n{figured.caption}\n", "utf-8", newline="\n")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}; choose another file with --out") from None
    click.echo(f"figure    {path}")
    click.echo(f"captions  {captions}")


def _width_in(text: str) -> float:
    """A length such as "3.5in", "89mm" or "252pt", in inches."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text)
    if not found or found[2] not in _IN:
        raise UsageError(f"--width {text}: must be a number with in, cm, mm or pt, such as 3.5in")
    width_in = float(found[1]) * _IN[found[2]]
    if not _NARROWEST_IN <= width_in <= _WIDEST_IN:
        limits = f"{_NARROWEST_IN:g}in to {_WIDEST_IN:g}in"
        raise UsageError(f"--width {text}: must be from {limits} (a column of a journal: 3.5in)")
    return width_in


def _installed(font: str) -> str:
    """The font as it is called where it is installed; empty, with a note, where it is not."""
    from matplotlib.font_manager import fontManager

    names = {each.name.lower(): each.name for each in fontManager.ttflist}
    if font.lower() in names:
        return names[font.lower()]
    close = difflib.get_close_matches(font.lower(), names, n=1)
    hint = f"; did you mean '{names[close[0]]}'?" if close else ""
    click.echo(f"note: font '{font}' is not installed, so DejaVu Sans is used{hint}", err=True)
    return ""
