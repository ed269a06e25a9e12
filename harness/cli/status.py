"""`status` and `show`: the state of a study's runs, here and in the queue, and of one run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.tune import Tuning
from harness.cli.until_decided import rounds_of, rule_progress
from harness.errors import UsageError
from harness.results.folder import RunFolder, StudyFolder
from harness.results.status import Standing, roll, status_of
from harness.scheduler.ordering import Reliance
from harness.scheduler.rounds import Called
from harness.scheduler.squeue import Job, jobs_of
from harness.study.expand import expand
from harness.study.registry import Registry

if TYPE_CHECKING:
    from harness.results.rows import RunRows


_BEGUN = frozenset({"running", "completing", "suspended", "stopped", "configuring"})
"""Slurm's words for jobs that are past waiting."""
_ORDER = ("done", "running", "queued", "interrupted", "failed", "damaged", "planned", "not needed")
MAX_LINES = 50
"""How many runs of a kind are listed; --json lists all."""


def show_status(folder: str, *, as_json: bool) -> None:
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
    tuning = Tuning.of(study, registry, place, specs)
    if as_json:
        runs = [_as_table(each) for each in standings]
        document = {"study": study.name, "folder": str(place.path), "counts": counts, "runs": runs}
        if tuning is not None:
            document["tuning"] = tuning.standing._asdict()
        click.echo(json.dumps(document, indent=2))
        return
    if tuning is not None:
        click.echo(f"{tuning.progress}, in {tuning.folder.path}")
    counted = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
    click.echo(f"study {study.name} in {place.path}: {len(standings)} runs: {counted}")
    if study.rule is not None:
        click.echo(rule_progress(study.rule, called))
    for state in ("running", "queued", "interrupted", "failed", "damaged"):
        _list(each for each in standings if each.state == state)
    if counts["failed"]:
        click.echo("to retry failed runs, run the study with --retry-failed")
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
        click.echo(f"note: {error}; queued runs are shown as not queued", err=True)
        return {}


def _list(standings: Iterable[Standing]) -> None:
    listed = list(standings)
    for each in listed[:MAX_LINES]:
        epochs = None if each.epochs is None else f"{each.epochs:g} epochs trained"
        more = "; ".join(filter(None, (epochs, each.worker, each.reason)))
        click.echo(f"  {each.state:11} {each.spec.title}{f': {more}' if more else ''}")
    if len(listed) > MAX_LINES:
        click.echo(f"  ... and {len(listed) - MAX_LINES} more (see --json)")


def _as_table(each: Standing) -> dict[str, Any]:
    spec = each.spec
    own = {"arm": spec.arm, "method": spec.method, "seed": spec.seed, "variant": spec.variant}
    return own | {
        "state": each.state,
        "worker": each.worker,
        "epochs_trained": each.epochs,
        "reason": each.reason,
    }


def show_run(path: str, *, as_json: bool) -> None:
    """Say what one run did and drew.

    Raises:
        UsageError: There is no run.
    """
    run = RunFolder(Path(path))
    if not run.spec.exists():
        raise UsageError(f"{run.path}: no run here (no {run.spec.name}); `status` lists runs")
    spec = run.read_spec()
    from harness.results.carbon import StudyCarbon
    from harness.results.rows import read_run

    study = StudyFolder(run.path.resolve().parents[2])
    rows = read_run(run, spec, spec.arm, StudyCarbon(study))
    if as_json:
        document = {
            "spec": spec.model_dump(mode="json"),
            "run": rows.run,
            "attempts": rows.attempts,
            "phases": rows.phases,
            "curves": rows.curves,
            "tickets": rows.tickets,
        }
        click.echo(json.dumps(document, indent=2, default=str))
        return
    for line in _told(rows):
        click.echo(line)
    _tables(rows)
    click.echo(f"records  {run.path}")


def _told(rows: RunRows) -> list[str]:
    from harness.results.energy_source import EnergyKinds
    from harness.settings.metric import ACCURACY
    from reports.text.scores import Shown
    from reports.text.units import duration, energy, within

    run = rows.run
    reason = f": {run['reason']}" if run.get("reason") else ""
    lines = [f"{run['arm']}, seed {run['seed']}: {run['status']}{reason}"]
    if run.get("test_score") is not None:
        metric = rows.metric or ACCURACY
        score = Shown(metric).tight(run["test_score"], more=1)
        lines.append(f"{metric.name} {score} on {run['test_samples']} test samples")
    if run.get("energy_j") is not None:
        kind = EnergyKinds.of_source(run["energy_source"]).adjective
        line = f"energy   {energy(run['energy_j'])} {within(run['energy_j'], run['uncertainty_j'])}"
        lines.append(f"{line} ({kind}) in {duration(run['duration_s'])}")
    if run.get("parameters"):
        left = run["parameters"] / run["dense_parameters"]
        lines.append(f"network  {run['parameters']:,} parameters, {left:.1%} of the dense one's")
    return lines


def _tables(rows: RunRows) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from reports.text.units import duration, energy

    console = Console(highlight=False)
    for title, listed, key in (
        ("phase", rows.phases, "phase"),
        ("attempt", rows.attempts, "attempt"),
    ):
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
        table.add_column(title)
        for header in ("time", "energy", "") if title == "attempt" else ("time", "energy"):
            table.add_column(header, justify="right")
        for each in listed:
            cells: list[Any] = [str(each[key]), duration(each["duration_s"])]
            cells.append(energy(each["energy_j"]))
            table.add_row(*cells, *([str(each["status"])] if title == "attempt" else []))
        if listed:
            console.print(table)
