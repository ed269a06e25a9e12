"""`report`: everything derived, derived again."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.results.table import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for unreachable cycles.

    It takes a tenth of a report's CPU time. Reading runs leaves no cycles behind, however many they
    are; the figures of a study do, of some 20 MiB.
    """
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
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
    from reports.analysis.summary import summarise
    from reports.reading import study_results
    from reports.tables.terminal import terminal_table
    from reports.wording.sentence import sentence

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
        console.print(f"\n{sentence(summary)}", markup=False)
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
