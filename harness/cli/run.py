"""`run`: a study from its choice to its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.choose import choose_study
from harness.errors import ExitCode
from harness.expand import expand
from harness.phases import Budget
from harness.plan import planned_epochs
from harness.registry import Registry
from harness.results.folder import StudyFolder
from harness.spec import RunSpec

if TYPE_CHECKING:
    from harness.cli.progress import Progress
    from harness.engines.local import LocalEngine, Outcome


def run_study(
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    out: str | None,
    plugins: tuple[str, ...],
    changes: tuple[str, ...],
    commands: tuple[str, ...],
) -> ExitCode:
    """Run what is missing of a study, then report on all of it.

    Args:
        words: A study, if any, then names of methods.
        seeds: Replace the study's.
        out: The results folder.
        plugins: Python files with more methods.
        changes: Settings as KEY=VALUE.
        commands: Names of commands, which a misspelt word may have meant.

    Raises:
        UsageError: The input is wrong; nothing has been run or written.
    """
    study, registry = choose_study(words, seeds, plugins, changes, commands)
    specs = expand(study, registry)
    # From here on imports take longer than a person should wait for word of a misspelling.
    from harness.cli.progress import open_progress
    from harness.cli.report import make_report
    from harness.energy.carbon.series import check_site
    from harness.engines.local import LocalEngine
    from harness.results.carbon import ask_live, keep_series
    from harness.results.journal import Journal
    from harness.workloads.presence import check_data

    check_data(study.workload)
    check_site(study.carbon)
    folder = StudyFolder(Path(out) if out else Path("results") / study.name)
    folder.bind(study, specs)
    click.echo(
        f"study {study.name}: {len(specs)} runs of {study.workload.model} on "
        f"{study.workload.data}, results in {folder.path}"
    )
    with folder.hold():
        keep_series(folder, study.carbon)
        missing = [
            spec for spec in specs if Journal(folder.run(spec)).status not in ("done", "failed")
        ]
        if missing:
            note = ask_live(folder, study.carbon)
            if note is not None:
                click.echo(f"note: {note}", err=True)
        with open_progress(specs, _planned(specs, registry)) as progress:
            engine = LocalEngine(folder, progress.look)
            engine.check(missing)
            outcomes = list(_work(engine, specs, progress))
    make_report((str(folder.path),), None)
    return _told([outcome for outcome in outcomes if outcome.status != "done"])


def _told(unfinished: list[Outcome]) -> ExitCode:
    """Say which runs are not done, and what to do about them."""
    for outcome in unfinished:
        click.echo(f"{outcome.status}: {outcome.spec.title}: see {outcome.folder.log}", err=True)
    statuses = {outcome.status for outcome in unfinished}
    if "failed" in statuses:
        click.echo("to try a failed run again, delete its folder", err=True)
    if "interrupted" in statuses:
        click.echo("a process ended without a word: run the same command again to go on", err=True)
    return ExitCode.RUNS_FAILED if unfinished else ExitCode.DONE


def _work(engine: LocalEngine, specs: list[RunSpec], progress: Progress) -> Iterator[Outcome]:
    for outcome in engine.run(specs):
        progress.finish(outcome)
        yield outcome


def _planned(specs: list[RunSpec], registry: Registry) -> list[int]:
    """Epochs each run will train, as far as can be known."""
    return [
        planned_epochs(
            registry.get(spec.method)(**spec.hyperparameters), Budget(spec.training.epochs)
        )
        for spec in specs
    ]
