"""`export`: a study's results for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import ExitCode, UsageError
from harness.exporters.registry import find


def export_results(folder: str, to: str, out: str | None) -> ExitCode:
    """Write the results in a folder to another program's files or service; say where they went.

    Args:
        folder: Results of one study.
        to: The exporter's name.
        out: Where to write; a place of the exporter's own if not given.

    Raises:
        UsageError: The exporter is unknown or not installed, there are no results, or they cannot
            be written there.
    """
    # Before the results are read, which may take a while: a misspelling costs no time.
    export = find(to).load()
    from harness.results.table import Tables

    tables = Tables(Path(folder))
    try:
        where = export(tables, Path(folder), out)
    except OSError as error:
        raise UsageError(f"cannot write: {error}") from None
    click.echo(f"{to}: {where}")
    return ExitCode.DONE
