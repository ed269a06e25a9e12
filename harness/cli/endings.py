"""How runs that are not done are told to a person and to the shell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.errors import ExitCode

if TYPE_CHECKING:
    from harness.engines.turn import Outcome


def told(unfinished: Sequence[Outcome]) -> ExitCode:
    """Say which runs are not done, and what to do about them."""
    for outcome in unfinished:
        why = f": {outcome.note}" if outcome.note else ""
        where = f" (see {outcome.folder.log})" if outcome.worked else ""
        click.echo(f"{outcome.status}: {outcome.spec.title}{why}{where}", err=True)
    statuses = {outcome.status for outcome in unfinished}
    reached = [outcome for outcome in unfinished if outcome.reached]
    if "failed" in statuses:
        click.echo("to try failed runs again, add --retry-failed", err=True)
    if reached:
        click.echo("to go on, run the same command with a higher limit", err=True)
    elif statuses - {"failed"}:
        click.echo("to go on, run the same command again", err=True)
    if "failed" not in statuses and reached:
        return ExitCode.LIMIT
    return ExitCode.RUNS_FAILED if unfinished else ExitCode.DONE
