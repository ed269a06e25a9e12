"""`run`: a study from its choice to its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.catalogue import ENGINES
from harness.cli.choose import choose_study
from harness.cli.endings import told
from harness.engines.engine import Assignment
from harness.errors import ExitCode, UsageError
from harness.expand import expand
from harness.results.folder import StudyFolder
from harness.spec import workloads_of

if TYPE_CHECKING:
    from harness.engines.engine import Engine
    from harness.results.table import Tables


def run_study(
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    out: str | None,
    plugins: tuple[str, ...],
    changes: tuple[str, ...],
    commands: tuple[str, ...],
    *,
    until_decided: str | None,
    retry_failed: bool,
    require_measured: bool,
    wants_report: bool,
    wait: bool,
    metrics: str | None,
) -> ExitCode:
    """Run what is missing of a study, then report on all of it, if wanted.

    Args:
        words: A study, if any, then names of methods.
        seeds: Replace the study's.
        out: The results folder.
        plugins: Python files with more methods.
        changes: Settings as KEY=VALUE.
        commands: Names of commands, which a misspelt word may have meant.
        until_decided: MIN-MAX: a rule for the seeds in place of the study's.
        retry_failed: Begin failed runs anew.
        require_measured: Energy that no sensor measured is an error.
        wants_report: Derive tables, figures and page.
        wait: Until the jobs of a queue have ended.
        metrics: Where to serve how the runs stand, for Prometheus.

    Raises:
        UsageError: The input is wrong; nothing has been run or written.
        MeasurementError: The energy cannot be measured as asked for.
        StorageError: Results cannot be written any more.
    """
    study, registry = choose_study(words, seeds, plugins, changes, commands, until_decided)
    specs = expand(study, registry)
    # From here on imports take longer than a person should wait for word of a misspelling.
    from harness.cli.report import make_report
    from harness.cli.unchanged import check_unchanged
    from harness.cli.until_decided import described, rounds_of
    from harness.energy.carbon.series import check_site
    from harness.engines.order import in_random_order
    from harness.engines.reliance import Reliance
    from harness.results.carbon import ask_live, keep_series
    from harness.results.glance import status_of
    from harness.results.table import Tables
    from harness.workloads.presence import check_data

    relied_on = Reliance(specs, registry)
    specs = in_random_order(specs, relied_on)
    folder = StudyFolder(Path(out) if out else Path("results") / study.name)
    finished = {"done"} if retry_failed else {"done", "failed"}
    open_runs = [spec for spec in specs if status_of(folder.run(spec)) not in finished]
    for workload in workloads_of(open_runs):
        check_data(workload)
    check_site(study.carbon)
    asked = Assignment(
        study,
        registry,
        relied_on,
        rounds_of(study, specs, relied_on),
        retry_failed=retry_failed,
        require_measured=require_measured,
        wait=wait,
        metrics=metrics,
    )
    engine = _engine(asked)
    check_unchanged(folder, open_runs, registry)
    folder.bind(study, specs)
    click.echo(
        f"study {study.name}: {described(study, asked.rounds, len(specs))} of "
        f"{study.workload.model} on {study.workload.data}, results in {folder.path}"
    )
    called = asked.rounds.called(folder).runs
    missing = [spec for spec in called if status_of(folder.run(spec)) not in finished]
    with folder.alone():
        keep_series(folder, study.carbon)
        note = ask_live(folder, study.carbon) if missing else None
    if note is not None:
        click.echo(f"note: {note}", err=True)
    outcomes = engine.work(folder, specs, missing)
    called = asked.rounds.called(folder).runs
    queued = len(called) - len(outcomes) if engine.may_be_left else 0
    if wants_report and (not queued or any(outcome.status == "done" for outcome in outcomes)):
        with folder.alone():
            make_report((str(folder.path),), None)
    code = told([outcome for outcome in outcomes if outcome.status != "done"])
    if queued:
        click.echo(
            f"{queued} runs are queued. Check with `python -m harness status {folder.path}`; when "
            "they are done, run this command again."
        )
        return code
    return _measured(Tables(folder.path), code) if require_measured else code


def _engine(asked: Assignment) -> Engine:
    try:
        make = ENGINES.load(asked.study.engine.kind)
    except ModuleNotFoundError as missing:
        if missing.name != "submitit":
            raise
        hint = "pip install 'energy-harness[slurm]'"
        raise UsageError(f"engine.kind: slurm needs submitit; do: {hint}") from None
    engine: Engine = make(asked)
    return engine


def _measured(tables: Tables, code: ExitCode) -> ExitCode:
    """Exit code 5 where energy was not measured, unless something worse is to be told."""
    from harness.results.required import unmeasured

    reasons = unmeasured(tables)
    for reason in reasons:
        click.echo(f"not measured: {reason}", err=True)
    return ExitCode.NOT_MEASURABLE if reasons and code == ExitCode.DONE else code
