"""`worker`: execute one run with its recorder, for an engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.cli.run import report_unfinished
from harness.errors import ExitCode, UsageError
from harness.results.folder import StudyFolder, read_spec
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.training.distributed.node import Node


def work_on_run(
    run_spec: str, *, retry_failed: bool, shared_node: bool, spare_gpus: bool, node: Node
) -> ExitCode:
    """Work on one run until it is done, fails, or is stopped.

    Args:
        run_spec: Its specification, a file within the results folder.
        retry_failed: Retry the run if it has failed.
        shared_node: Others run on this machine meanwhile.
        spare_gpus: GPUs that the environment shows and the run does not use were handed over with
            the others.
        node: Which of the run's nodes this is.

    Raises:
        UsageError: There is no such run, or this machine cannot carry it out.
        MeasurementError: The energy cannot be measured as asked for.
        StorageError: Results cannot be written any more.
    """
    from harness.cli.progress import open_progress
    from harness.results.journal import Journal
    from harness.scheduler.limits import Budgets
    from harness.scheduler.resources import divide_machine
    from harness.scheduler.scheduler import RunScheduler

    spec, folder = read_spec(Path(run_spec)), _study_of(Path(run_spec))
    folder.check_run(spec)
    if shared_node and spec.energy.gpus == "all":
        raise UsageError('energy.gpus: "all" would count GPUs of others on a shared node')
    study = folder.study()
    if node.of != study.engine.nodes_per_run:
        raise UsageError(
            f"--node: of {node.of} nodes, but engine.nodes_per_run = {study.engine.nodes_per_run}"
        )
    registry = Registry.discover(spec.plugins)
    relied_on = _relied_on(spec, folder, registry)
    of_study = study.limits.energy_j or study.limits.time_s
    counted = folder.runs_and_trials() if of_study else [folder.run(spec)]
    budgets = Budgets(study.limits, counted)
    scheduler = RunScheduler(folder, budgets, lambda _: relied_on, retry_failed=retry_failed)
    if Journal(folder.run(spec)).status != "done":
        scheduler.check([spec], study.engine.gpus_per_run)
    engine = study.engine
    [resources] = divide_machine(
        1, engine.gpus_per_node, threads=engine.threads, exclusive=spare_gpus
    )
    resources = replace(resources, own_host=not shared_node, node=node)
    with open_progress(registry, [spec]) as progress:
        run = scheduler.run_beside if node.rank else scheduler.run_if_needed
        outcome = run(spec, resources, progress.look)
        progress.finish(outcome)
    return report_unfinished([outcome] if outcome.status != "done" else [])


def _study_of(path: Path) -> StudyFolder:
    """The results folder that contains a file."""
    for parent in path.resolve().parents:
        folder = StudyFolder(parent)
        if folder.settings.exists():
            return folder
    raise UsageError(f"{path}: is not inside a results folder")


def _relied_on(spec: RunSpec, folder: StudyFolder, registry: Registry) -> list[RunSpec]:
    from harness.scheduler.ordering import Reliance

    if not registry.get(spec.method)(**spec.hyperparameters).relies_on():
        return []
    return Reliance(expand(folder.study(), registry), registry)(spec)
