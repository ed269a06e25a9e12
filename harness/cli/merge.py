"""`merge`: the results of several machines in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from harness.results.folder import StudyFolder


def merge_results(folders: tuple[str, ...], out: str) -> None:
    """Join results folders of one study into a new one; say what to do with it.

    Args:
        folders: At least two.
        out: The new folder.

    Raises:
        UsageError: They cannot be joined, or not there.
    """
    from harness.results.merge import merge

    number = merge([StudyFolder(Path(folder)) for folder in folders], Path(out))
    click.echo(f"{number} runs from {len(folders)} folders are now in {out}")
    click.echo(f"to make tables and report: python -m harness report {out}")
