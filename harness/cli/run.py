"""`run`: a study from its choice to its report."""

from __future__ import annotations

import functools
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ExitCode, UsageError
from harness.results.fingerprint import Fingerprint, difference, fingerprint_of
from harness.results.folder import StudyFolder
from harness.results.status import status_of
from harness.runner.code_fingerprint import code_of
from harness.scheduler.engine import Assignment
from harness.settings.catalogue import ENGINES
from harness.settings.run_spec import workloads_of
from harness.settings.settings import WHEREABOUTS
from harness.study.choose import choose_study
from harness.study.expand import expand
from harness.workloads.data_fingerprint import identity_of

if TYPE_CHECKING:
    from harness.cli.tune import Tuning
    from harness.energy.carbon.green_times import GreenTimes
    from harness.results.forecast import ArmOf
    from harness.results.table import Tables
    from harness.scheduler.engine import Engine
    from harness.scheduler.ordering import Reliance
    from harness.scheduler.scheduler import RunOutcome
    from harness.settings.run_spec import RunSpec
    from harness.settings.settings import Training, WorkloadChoice
    from harness.study.registry import Registry
    from harness.study.study import Study


def run_study(
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    out: str | None,
    plugins: tuple[str, ...],
    changes: tuple[str, ...],
    commands: tuple[str, ...],
    *,
    until_decided: str | None,
    values: str,
    when_below: float | None,
    greenest_within: float | None,
    retry_failed: bool,
    require_measured: bool,
    wants_report: bool,
    wait: bool,
    metrics: str | None,
    arms: tuple[str, ...] = (),
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
        values: Further settings as a JSON object, by dotted key.
        when_below: Run while the grid is below this, in grams of CO2e per kWh.
        greenest_within: Run in the greenest part of these hours.
        retry_failed: Retry failed runs.
        require_measured: Energy that no sensor measured is an error.
        wants_report: Derive tables, figures and page.
        wait: Until the jobs of a queue have ended.
        metrics: Where to serve how the runs stand, for Prometheus.
        arms: Selectors: run these arms alone, and what they build on; all if none are given.

    Raises:
        UsageError: The input is wrong; nothing has been run or written.
        MeasurementError: The energy cannot be measured as requested.
        StorageError: Results cannot be written any more.
    """
    if os.name == "nt":
        raise UsageError("runs need Linux or macOS; on Windows, results can be read and compared")
    study, registry = choose_study(
        words, seeds, plugins, changes, commands, until_decided, json.loads(values)
    )
    specs = expand(study, registry)
    # From here on imports take longer than a person should wait for word of a misspelling.
    from harness.cli.foreign import check_foreign
    from harness.cli.progress import open_progress
    from harness.cli.report import make_report
    from harness.cli.tune import Tuning, tuned
    from harness.cli.until_decided import described, rounds_of
    from harness.energy.carbon.green_times import green_times
    from harness.energy.carbon.series import check_site
    from harness.results.carbon import ask_and_keep, ask_live, keep_series
    from harness.results.status import status_of
    from harness.results.table import Tables
    from harness.scheduler.ordering import Reliance, in_random_order

    relied_on = Reliance(specs, registry)
    specs = in_random_order(relied_on.only(specs, arms) if arms else specs, relied_on)
    folder = StudyFolder(Path(out) if out else Path("results") / study.name)
    finished = {"done"} if retry_failed else {"done", "failed"}
    open_runs = [spec for spec in specs if status_of(folder.run(spec)) not in finished]
    tuning = Tuning.of(study, registry, folder, specs)
    _check_data(open_runs)
    check_site(study.carbon)
    rounds = rounds_of(study, specs, relied_on)
    when = green_times(
        study.carbon,
        time.time_ns(),
        below_g_per_kwh=when_below,
        within_s=None if greenest_within is None else greenest_within * 3600,
        takes_s=lambda: _takes_s(folder, study, rounds.called(folder).runs, relied_on, tuning),
        ask_now=lambda: ask_and_keep(folder, study.carbon.country or ""),
    )
    if when is not None:
        _check_engine_waits(study.engine.kind, when, time.time_ns())
    assignment = Assignment(
        study,
        registry,
        relied_on,
        rounds,
        functools.partial(open_progress, registry, study=study.name, metrics=metrics),
        retry_failed=retry_failed,
        require_measured=require_measured,
        when=when,
        wait=wait,
    )
    engine = _engine(assignment)
    _check_stays(engine, tuning, wait=wait, metrics=metrics)
    foreign = check_foreign(open_runs, registry)
    check_unchanged(folder, open_runs, registry, foreign)
    if tuning is not None:
        check_unchanged(tuning.folder, open_runs, registry, foreign)
        chosen, outcomes = _tune(tuning, assignment, folder)
        if chosen is None:
            return report_unfinished([each for each in outcomes if each.status != "done"])
        specs = tuned(specs, chosen)
        rounds = rounds_of(study, specs, relied_on)
        assignment = replace(assignment, rounds=rounds, before=tuning.runs)
        engine = _engine(assignment)
    folder.bind(study, specs)
    click.echo(
        f"study {study.name}: {described(study, rounds, len(specs))} of "
        f"{study.workload.model} on {study.workload.data}, results in {folder.path}"
    )
    called = assignment.rounds.called(folder).runs
    missing = [spec for spec in called if status_of(folder.run(spec)) not in finished]
    with folder.alone():
        keep_series(folder, study.carbon)
        note = ask_live(folder, study.carbon) if missing else None
    if note is not None:
        click.echo(f"note: {note}", err=True)
    outcomes = engine.run(folder, specs, missing)
    called = assignment.rounds.called(folder).runs
    queued = len(called) - len(outcomes) if engine.may_be_left else 0
    if wants_report and (not queued or any(outcome.status == "done" for outcome in outcomes)):
        with folder.alone():
            make_report((str(folder.path),), None)
    code = report_unfinished([outcome for outcome in outcomes if outcome.status != "done"])
    if queued:
        click.echo(
            f"{queued} runs are queued. Check with `python -m harness status {folder.path}`; when "
            "they are done, run this command again."
        )
        return code
    return _measured(Tables(folder.path), code) if require_measured else code


def _check_data(open_runs: list[RunSpec]) -> None:
    """Check that the data are there, and print what of them is not used."""
    from harness.workloads.files import check_data, left_out

    for workload in workloads_of(open_runs):
        check_data(workload)
        for sentence in left_out(workload):
            click.echo(f"note: {sentence}", err=True)


def _check_stays(engine: Engine, tuning: Tuning | None, *, wait: bool, metrics: str | None) -> None:
    """Check that the command stays for what follows from its runs.

    Raises:
        UsageError: They are left to a queue.
    """
    if engine.may_be_left and metrics:
        raise UsageError("--metrics follows runs of this machine; `status` reads the queue")
    if engine.may_be_left and tuning is not None and not wait:
        raise UsageError(
            "tuning: the study's runs follow from its trials, which must end before; add --wait"
        )


def _tune(
    tuning: Tuning, assignment: Assignment, folder: StudyFolder
) -> tuple[dict[str, Training] | None, list[RunOutcome]]:
    """Do the trials that are missing; the recipe of each arm, None if trials are still open."""
    folder.bind(assignment.study, [])
    tuning.folder.bind(tuning.study, tuning.specs)
    click.echo(f"{tuning.progress}, results in {tuning.folder.path}")
    outcomes: list[RunOutcome] = []
    if missing := tuning.missing:
        of_trials = replace(
            assignment,
            study=tuning.study,
            relied_on=tuning.relied_on,
            rounds=tuning.rounds,
            retry_failed=False,
        )
        outcomes = _engine(of_trials).run(tuning.folder, tuning.specs, missing)
    chosen = tuning.rounds.chosen(tuning.folder)
    for arm, training in (chosen or {}).items():
        keys = assignment.study.tuning.space
        values = ", ".join(f"{key} = {getattr(training, key)}" for key in keys)
        click.echo(f"tuned: {arm}: {values}")
    return chosen, outcomes


def _takes_s(
    folder: StudyFolder,
    study: Study,
    specs: list[RunSpec],
    relied_on: Reliance,
    tuning: Tuning | None,
) -> float | None:
    """How long all missing trials and runs take, or may take; None if that is not known."""
    from harness.cli.plan import time_left_s
    from harness.cli.tune import kind_of_trial
    from harness.results.forecast import arm_of_run, finished, forecast

    at_once, limit_s = study.engine.at_once, study.limits.time_s

    def left_s(
        folder: StudyFolder, specs: list[RunSpec], relied_on: Reliance, arm_of: ArmOf
    ) -> float:
        done = finished(folder, specs)
        arms = forecast(folder, specs, done, arm_of)
        found_s = time_left_s(specs, done, arms, relied_on, at_once, arm_of)
        return math.inf if found_s is None else found_s

    known_s = left_s(folder, specs, relied_on, arm_of_run)
    if tuning is not None:
        known_s += left_s(tuning.folder, tuning.possible, tuning.relied_on, kind_of_trial)
    bounds_s = [
        None if math.isinf(known_s) else known_s,
        None if limit_s is None else limit_s / at_once,
    ]
    return min((each for each in bounds_s if each is not None), default=None)


def _check_engine_waits(kind: str, when: GreenTimes, now_ns: int) -> None:
    """Check that the engine can hold runs back, and end them at checkpoints.

    Raises:
        UsageError: It cannot; the message says what it can do instead.
    """
    if kind == "local":
        return
    from harness.energy.carbon.green_times import Foreseen

    hint = "take --engine local"
    if kind == "slurm" and isinstance(when, Foreseen):
        begin = datetime.fromtimestamp(when.opens_ns(now_ns) * 1e-9)  # noqa: DTZ006 - sbatch reads local time
        hint = f"have the queue wait: --set 'engine.slurm.options.begin=\"{begin:%Y-%m-%dT%H:%M}\"'"
    raise UsageError(f"engine.kind = {kind} does not wait for green electricity; {hint}")


def _engine(assignment: Assignment) -> Engine:
    try:
        make = ENGINES.load(assignment.study.engine.kind)
    except ModuleNotFoundError as missing:
        if missing.name != "submitit":
            raise
        hint = "pip install 'energy-harness[slurm]'"
        raise UsageError(f"engine.kind: slurm needs submitit; do: {hint}") from None
    engine: Engine = make(assignment)
    return engine


def _measured(tables: Tables, code: ExitCode) -> ExitCode:
    """Exit code 5 if energy was not measured, unless runs are not done, which is worse."""
    from harness.results.energy_source import unmeasured

    reasons = unmeasured(tables)
    for reason in reasons:
        click.echo(f"not measured: {reason}", err=True)
    return ExitCode.NOT_MEASURABLE if reasons and code == ExitCode.DONE else code


_SPOILT = frozenset({"failed", "planned", "damaged"})
"""Runs whose work enters no mean, and is not resumed: those may have been made of anything."""
_NOT_WHICH = frozenset({*WHEREABOUTS, "input"})
"""Keys of the workload that variants and machines of a study may differ in on the same data."""


def check_unchanged(
    folder: StudyFolder,
    missing: list[RunSpec],
    registry: Registry,
    foreign: dict[WorkloadChoice, dict[str, Any]],
) -> None:
    """Find out whether runs that are missing are of the code and data of those that are there.

    Args:
        folder: Where they are.
        missing: The runs that are to be done.
        registry: Finds their methods.
        foreign: The identity of data of other packages, by workload.

    Raises:
        UsageError: They are not; the message names what changed, and what to do.
    """
    methods = {spec.method: registry.get(spec.method).__module__ for spec in missing}
    workloads = {_name(spec.workload): spec.workload for spec in missing}
    data = {_name(workload): identity for workload, identity in foreign.items()}
    code: dict[tuple[str | None, str], dict[str, list[str]]] = {}
    for run in folder.runs():
        if status_of(run) in _SPOILT or (known := fingerprint_of(run)) is None:
            continue
        spec = run.read_spec()
        name = _name(spec.workload)
        if name not in workloads:
            continue
        workload = workloads[name]
        method = spec.method if spec.method in methods else None
        if (method, name) not in code:
            code[method, name] = code_of(methods[method] if method else None, workload)
        if known.data_hash and name not in data:
            data[name] = identity_of(workload)
        now = Fingerprint(code[method, name], data.get(name, {}))
        if method is None:  # another method: what both share is the workload
            known = Fingerprint({each: known.code.get(each, ()) for each in now.code}, known.data)
        if change := difference(known, now, spec.method):
            raise UsageError(
                f"{run.path} was made {change}; new runs cannot be compared with it: undo the "
                "change, or give this study another folder with --out"
            )


def _name(workload: WorkloadChoice) -> str:
    """What decides which samples and which model a run has."""
    return workload.model_dump_json(exclude=set(_NOT_WHICH))


def report_unfinished(unfinished: Sequence[RunOutcome]) -> ExitCode:
    """Print which runs are not done, and what to do about them; the exit code."""
    for outcome in unfinished:
        why = f": {outcome.note}" if outcome.note else ""
        where = f" (see {outcome.folder.log})" if outcome.worked else ""
        click.echo(f"{outcome.status}: {outcome.spec.title}{why}{where}", err=True)
    statuses = {outcome.status for outcome in unfinished}
    reached = [outcome for outcome in unfinished if outcome.reached]
    if "failed" in statuses:
        click.echo("to retry failed runs, add --retry-failed", err=True)
    if reached:
        what = dict.fromkeys(outcome.reached.remedy for outcome in reached if outcome.reached)
        click.echo(f"to resume, run the same command with {' or '.join(what)}", err=True)
    elif statuses - {"failed"}:
        click.echo("to resume, run the same command again", err=True)
    if "failed" not in statuses and reached:
        return ExitCode.LIMIT
    return ExitCode.RUNS_FAILED if unfinished else ExitCode.DONE
