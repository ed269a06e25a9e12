"""`status`: how the runs of a study stand, on this machine and in the queue."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.cli.until_decided import rounds_of, told_of_rule
from harness.engines.queue import Job, jobs_of
from harness.engines.reliance import Reliance
from harness.engines.rounds import Called
from harness.errors import UsageError
from harness.expand import expand
from harness.registry import Registry
from harness.results.folder import StudyFolder
from harness.results.glance import status_of
from harness.results.roll import Standing, roll

_BEGUN = frozenset({"running", "completing", "suspended", "stopped", "configuring"})
"""Slurm's words for jobs that are past waiting."""
_ORDER = ("done", "running", "queued", "interrupted", "failed", "damaged", "planned", "not needed")
MOST_LINES = 50
"""So many runs of a kind are listed; --json lists all."""


def tell_status(folder: str, *, as_json: bool) -> None:
    """Say how the runs stand.

    Raises:
        UsageError: No results lie there, or they cannot be read.
    """
    place = StudyFolder(Path(folder))
    study = place.study()
    registry = Registry.discover(study.plugins)
    specs = expand(study, registry)
    folders = [place.run(spec) for spec in specs]
    jobs = _jobs(place, frozenset(run.name for run in folders if status_of(run) == "done"))
    begun = frozenset(name for name, job in jobs.items() if job.state in _BEGUN)
    rounds = rounds_of(study, specs, Reliance(specs, registry))
    standings = roll(place, specs, {name: job.text for name, job in jobs.items()}, begun)
    called = rounds.called(place)
    standings = _called_for(standings, called)
    counts = Counter(each.state for each in standings)
    if as_json:
        runs = [_as_table(each) for each in standings]
        said = {"study": study.name, "folder": str(place.path), "counts": counts, "runs": runs}
        click.echo(json.dumps(said, indent=2))
        return
    told = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
    click.echo(f"study {study.name} in {place.path}: {len(standings)} runs: {told}")
    if study.rule is not None:
        click.echo(told_of_rule(study.rule, called))
    for state in ("running", "queued", "interrupted", "failed", "damaged"):
        _list(each for each in standings if each.state == state)
    if counts["failed"]:
        click.echo("to try failed runs again, run the study with --retry-failed")
    if counts["planned"] + counts["interrupted"]:
        click.echo("to resume the remaining runs, run the same command again")


def _called_for(standings: list[Standing], called: Called) -> list[Standing]:
    """The same, where runs that no look at the results can call for are not needed."""
    known = {spec.title for spec in (*called.runs, *called.may_follow)}
    return [
        replace(each, state="not needed")
        if each.state == "planned" and each.spec.title not in known
        else each
        for each in standings
    ]


def _jobs(place: StudyFolder, done: frozenset[str]) -> dict[str, Job]:
    try:
        return jobs_of(place, done)
    except UsageError as error:
        click.echo(f"note: {error}; what is queued is told as if it were not", err=True)
        return {}


def _list(standings: Iterable[Standing]) -> None:
    listed = list(standings)
    for each in listed[:MOST_LINES]:
        epochs = None if each.epochs is None else f"{each.epochs:g} epochs trained"
        more = "; ".join(filter(None, (epochs, each.worker, each.reason)))
        click.echo(f"  {each.state:11} {each.spec.title}{f': {more}' if more else ''}")
    if len(listed) > MOST_LINES:
        click.echo(f"  ... and {len(listed) - MOST_LINES} more (see --json)")


def _as_table(each: Standing) -> dict[str, Any]:
    spec = each.spec
    own = {"arm": spec.arm, "method": spec.method, "seed": spec.seed, "variant": spec.variant}
    return own | {
        "state": each.state,
        "worker": each.worker,
        "epochs_trained": each.epochs,
        "reason": each.reason,
    }
