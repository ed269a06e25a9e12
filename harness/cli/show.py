"""`show`: one run, told from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageError
from harness.results.folder import RunFolder, StudyFolder

if TYPE_CHECKING:
    from harness.results.rows import RunRows


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
        said = {
            "spec": spec.model_dump(mode="json"),
            "run": rows.run,
            "attempts": rows.attempts,
            "phases": rows.phases,
            "curves": rows.curves,
            "tickets": rows.tickets,
        }
        click.echo(json.dumps(said, indent=2, default=str))
        return
    for line in _told(rows):
        click.echo(line)
    _tables(rows)
    click.echo(f"records  {run.path}")


def _told(rows: RunRows) -> list[str]:
    from harness.results.standing import standing
    from reports.wording.units import duration, energy

    run = rows.run
    reason = f": {run['reason']}" if run.get("reason") else ""
    lines = [f"{run['arm']}, seed {run['seed']}: {run['status']}{reason}"]
    if run.get("test_accuracy") is not None:
        lines.append(f"accuracy {run['test_accuracy']:.2%} on {run['test_samples']} test samples")
    if run.get("energy_j") is not None:
        kind = standing(run["energy_source"])
        told = f"energy   {energy(run['energy_j'])} ± {energy(run['uncertainty_j'])} ({kind})"
        lines.append(f"{told} in {duration(run['duration_s'])}")
    if run.get("parameters"):
        left = run["parameters"] / run["dense_parameters"]
        lines.append(f"network  {run['parameters']:,} parameters, {left:.1%} of the dense one's")
    return lines


def _tables(rows: RunRows) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from reports.wording.units import duration, energy

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
