"""`report` and `figure`: build the report from raw records, or one figure for a publication."""

from __future__ import annotations

import atexit
import difflib
import gc
import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from harness.errors import UsageError, nearest
from harness.results.folder import StudyFolder
from harness.results.table import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.figures.figure_result import Figured


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for unreachable cycles, then or when the process ends.

    It takes a tenth of a report's CPU time. Reading runs leaves no cycles behind, however many they
    are; the figures of a study do, of some 20 MiB.
    """
    usual = gc.isenabled()
    gc.disable()
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        if usual:
            # As old objects, which are seldom searched, rather than new ones, which are at once.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


@_uncollected()
def make_report(folders: tuple[str, ...], out: str | None) -> None:
    """Rebuild tables, figures and page of results folders, and print the summary of each.

    Args:
        folders: One study each; several make one page.
        out: Folder of the page.

    Raises:
        UsageError: A folder holds no results or is given twice, or the page cannot be written.
    """
    paths = [Path(folder) for folder in folders]
    for path in paths:
        if [other.resolve() for other in paths].count(path.resolve()) > 1:
            raise UsageError(f"{path}: given twice")
    tables = [Tables(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        _save_runs(table, path)
    import reports
    from reports.data import study_results
    from reports.statistics.summary import summarise
    from reports.tables.terminal import terminal_table
    from reports.text.sentence import sentence
    from reports.text.waiting import waiting

    named = zip(_names(paths, tables), tables, strict=True)
    studies = [replace(study_results(table), study=name) for name, table in named]
    place = Path(out) if out else Path("report")
    if out is None and len(paths) == 1:
        place = StudyFolder(paths[0]).report
        _check_links(place)
    try:
        page = reports.build(*studies, out=place)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}; choose another folder with --out") from None
    console = Console(highlight=False)
    for results in studies:
        summary = summarise(results)
        console.print()
        if len(studies) > 1:
            console.print(results.study, style="bold", markup=False)
        console.print(terminal_table(summary))
        for text in filter(None, (sentence(summary), waiting(results))):
            console.print(f"\n{text}", markup=False)
    console.print(f"\nreport  {page}", markup=False)
    for path in paths:
        console.print(f"table   {StudyFolder(path).table_csv}", markup=False)


def _check_links(place: Path) -> None:
    """Results from elsewhere must not send their report to elsewhere on this machine."""
    for path in (place, *(place.rglob("*") if place.is_dir() else ())):
        if path.is_symlink():
            raise UsageError(f"{path}: is a link; choose another folder with --out")


def _save_runs(tables: Tables, path: Path) -> None:
    """The table of runs beside its raw records, unless they lie where nothing can be written."""
    try:
        tables.save_runs(path)
    except OSError as error:
        click.echo(f"note: no table in {path}: {error.strerror}", err=True)


def _names(paths: list[Path], tables: list[Tables]) -> list[str]:
    """What each study is called on the page: with its folder where others have the same name."""
    names = [table.study for table in tables]
    return [
        f"{name} ({path})" if names.count(name) > 1 else name
        for name, path in zip(names, paths, strict=True)
    ]


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
    from reports.data import study_results
    from reports.figures.gallery import FIGURES, FORMER_NAMES
    from reports.plotting import style

    name = FORMER_NAMES.get(name, name)
    if name not in FIGURES:
        raise UsageError(f"figure '{name}' is unknown; {nearest(name, FIGURES)}")
    asked = style.Format(width_in or style.WIDTH_IN, _installed(font) if font else "", titled)
    path = Path(out) if out else Path(f"{name}.{kind}")
    if path.suffix != f".{kind}":
        raise UsageError(f"--out {path}: must end in .{kind}, or choose another --format")
    with style.formatted(asked):
        figured: Figured | None = FIGURES[name](study_results(tables))
        if figured is None:
            raise UsageError(f"figure '{name}': {folder} has no data for it")
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
