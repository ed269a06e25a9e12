"""`wandb`: a Weights & Biases project per study, with a run each. No unexpected uploads."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.integrations.exporters.tracked import TrackedRun, place, shortened, tracked_runs
from harness.settings.run_spec import folder_name

if TYPE_CHECKING:
    from harness.results.table import Tables


def export(tables: Tables, folder: Path, out: str | None) -> str:
    """Write the runs for Weights & Biases, grouped by arm.

    They are uploaded if WANDB_MODE is "online", or if it is not set, no folder was asked for and
    the user is logged in; else they are stored in a folder, to be uploaded with `wandb sync`. A run
    has the same id in every export, so that it replaces the one before.

    Raises:
        UsageError: wandb refuses; the message is its own.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    path = place(folder, out, "wandb").resolve()
    project = folder_name(tables.study)
    written = 0
    try:
        mode = os.environ.get("WANDB_MODE") or _mode(wandb, out)
        for run in tracked_runs(tables):
            _forget(path, run)
            _write_run(wandb, path, project, mode, run)
            written += 1
    except wandb.Error as error:
        raise UsageError(f"wandb: {error}") from None
    finally:
        wandb.teardown()
    if mode == "offline":
        files = shlex.quote(str(path / "wandb"))
        return f"{path}: {written} runs, offline\nupload: wandb sync {files}/offline-run-*"
    return f"wandb ({mode}), project {project}: {written} runs"


def _mode(wandb: Any, out: str | None) -> str:
    """Online if the user is logged in and has not asked for files or to be offline."""
    if out is not None or not wandb.login(prompt=False, verify=False):
        return "offline"
    return str(wandb.setup().settings.mode)


def _forget(path: Path, run: TrackedRun) -> None:
    """Remove an earlier export of a run."""
    for old in path.glob(f"wandb/offline-run-*-{run.identity}"):
        shutil.rmtree(old)


def _write_run(wandb: Any, path: Path, project: str, mode: str, run: TrackedRun) -> None:
    settings = wandb.Settings(
        mode=mode,
        root_dir=str(path),
        host=run.tags.get("host"),
        console="off",
        silent=True,
        # This is an export: this machine, its code and its load are not the run's.
        disable_code=True,
        disable_git=True,
        save_code=False,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    written = wandb.init(
        project=project,
        id=run.identity,
        name=shortened(run.title, 128),
        group=shortened(run.arm, 128),
        notes=run.caption,
        tags=[f"{run.standing} energy", run.status],
        config={**run.parameters, "arm": run.arm, "energy_standing": run.standing},
        resume="allow",
        reinit="create_new",
        settings=settings,
    )
    written.define_metric("cumulative_energy_j")
    # Synchronised, a missing step would be filled in with 0.
    written.define_metric("val_score", step_metric="cumulative_energy_j", step_sync=False)
    for point in run.curve:
        written.log(
            {
                **point.values,
                "epochs_trained": point.epochs_trained,
                "_timestamp": point.at.timestamp(),
            },
            step=point.epochs_trained,
            commit=True,
        )
    times = {"started": run.started.isoformat(), "ended": run.ended.isoformat()}
    written.summary.update({**run.tags, **run.metrics, **times})
    written.finish(exit_code=0 if run.status == "done" else 1)
