"""`run`: a study from its choice to its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.choose import choose_study
from harness.cli.endings import told
from harness.errors import ExitCode
from harness.expand import expand
from harness.phases import Budget
from harness.plan import planned_epochs
from harness.registry import Registry
from harness.results.folder import StudyFolder
from harness.spec import RunSpec

if TYPE_CHECKING:
    from harness.cli.progress import Progress
    from harness.engines.local import LocalEngine
    from harness.engines.turn import Outcome
    from harness.results.table import Tables


def run_study(
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    out: str | None,
    plugins: tuple[str, ...],
    changes: tuple[str, ...],
    commands: tuple[str, ...],
    *,
    retry_failed: bool,
    require_measured: bool,
    wants_report: bool,
) -> ExitCode:
    """Run what is missing of a study, then report on all of it, if wanted.

    Args:
        words: A study, if any, then names of methods.
        seeds: Replace the study's.
        out: The results folder.
        plugins: Python files with more methods.
        changes: Settings as KEY=VALUE.
        commands: Names of commands, which a misspelt word may have meant.
        retry_failed: Begin failed runs anew.
        require_measured: Energy that no sensor measured is an error.
        wants_report: Derive tables, figures and page.

    Raises:
        UsageError: The input is wrong; nothing has been run or written.
        MeasurementError: The energy cannot be measured as asked for.
        StorageError: Results cannot be written any more.
    """
    study, registry = choose_study(words, seeds, plugins, changes, commands)
    specs = expand(study, registry)
    # From here on imports take longer than a person should wait for word of a misspelling.
    from harness.cli.progress import open_progress
    from harness.cli.report import make_report
    from harness.energy.carbon.series import check_site
    from harness.energy.meters.finders import check_measurable
    from harness.engines.limits import Account
    from harness.engines.local import LocalEngine
    from harness.engines.order import in_random_order
    from harness.engines.reliance import Reliance
    from harness.engines.slots import places
    from harness.engines.turn import Turns
    from harness.results.carbon import ask_live, keep_series
    from harness.results.journal import Journal
    from harness.results.table import Tables
    from harness.workloads.presence import check_data

    relied_on = Reliance(specs, registry)
    specs = in_random_order(specs, relied_on)
    check_data(study.workload)
    check_site(study.carbon)
    at = places(study.engine.at_once)
    if require_measured:
        check_measurable(study.energy)
    folder = StudyFolder(Path(out) if out else Path("results") / study.name)
    folder.bind(study, specs)
    click.echo(
        f"study {study.name}: {len(specs)} runs of {study.workload.model} on "
        f"{study.workload.data}, results in {folder.path}"
    )
    finished = {"done"} if retry_failed else {"done", "failed"}
    missing = [spec for spec in specs if Journal(folder.run(spec)).status not in finished]
    with folder.alone():
        keep_series(folder, study.carbon)
        note = ask_live(folder, study.carbon) if missing else None
    if note is not None:
        click.echo(f"note: {note}", err=True)
    account = Account(study.limits, [folder.run(spec) for spec in specs])
    with open_progress(specs, _planned(specs, registry)) as progress:
        turns = Turns(folder, account, relied_on, retry_failed=retry_failed)
        turns.check(missing)
        engine = LocalEngine(turns, at, progress.look)
        outcomes = list(_work(engine, specs, progress))
    if wants_report:
        with folder.alone():
            make_report((str(folder.path),), None)
    code = told([outcome for outcome in outcomes if outcome.status != "done"])
    return _measured(Tables(folder.path), code) if require_measured else code


def _measured(tables: Tables, code: ExitCode) -> ExitCode:
    """Exit code 5 where energy was not measured, unless something worse is to be told."""
    from harness.results.required import unmeasured

    reasons = unmeasured(tables)
    for reason in reasons:
        click.echo(f"not measured: {reason}", err=True)
    return ExitCode.NOT_MEASURABLE if reasons and code == ExitCode.DONE else code


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
