"""`mlflow`: an experiment per study, with an MLflow run per run."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.integrations.exporters.tracked import TrackedRun, place, shortened, tracked_runs
from harness.settings.run_spec import folder_name

if TYPE_CHECKING:
    from harness.results.table import Tables

RUN = "energy_harness.run"
"""Tag that identifies a run."""
DIGEST = "energy_harness.digest"
"""Tag that is set last, to a hash of what was written: if it differs, the run is written again."""

_STATUS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_METRICS, _PARAMETERS = 1000, 100
"""How many MLflow takes in one request."""


def export(tables: Tables, folder: Path, out: str | None) -> str:
    """Write the runs to MLflow.

    They go to `out`: a tracking URI, or a folder that gets a SQLite file; else to where
    MLFLOW_TRACKING_URI points; else to a folder beside the results. A run that is there already
    and unchanged is left alone. One that has changed since is deleted there, as MLflow deletes
    (`mlflow gc` makes it final), and written again: MLflow cannot change parameters and histories.

    Raises:
        UsageError: MLflow refuses; the message is its own.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow.exceptions import MlflowException

    uri, artifacts, look = _target(folder, out)
    project = folder_name(tables.study)
    try:
        done = _write(tables, uri, project, artifacts)
    except MlflowException as error:
        raise UsageError(f"mlflow, {uri}: {error.message}") from None
    counts = ", ".join(f"{count} {what}" for what, count in sorted(done.items())) or "no runs"
    return f"{uri}, experiment {project}: {counts}{look}"


def _target(folder: Path, out: str | None) -> tuple[str, str | None, str]:
    """The tracking URI, the place of artifacts if we choose it, and how to open it."""
    uri = out if out is not None and "://" in out else None
    if out is None:
        uri = os.environ.get("MLFLOW_TRACKING_URI") or None
    if uri is not None:
        return uri, None, ""
    path = place(folder, out, "mlflow").resolve()
    uri = f"sqlite:///{path / 'mlflow.db'}"
    look = f"\nlook: mlflow ui --backend-store-uri {shlex.quote(uri)}"
    return uri, (path / "artifacts").as_uri(), look


def _write(tables: Tables, uri: str, project: str, artifacts: str | None) -> Counter[str]:
    """Write runs that are new or changed; returns how many were new, replaced and unchanged."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(project)
    if found is None:
        experiment = client.create_experiment(project, artifact_location=artifacts)
    else:
        experiment = found.experiment_id
    known = {run.data.tags.get(RUN): run for run in _runs(client, experiment)}
    done: Counter[str] = Counter()
    for run in tracked_runs(tables):
        old = known.get(run.identity)
        if old is not None and old.data.tags.get(DIGEST) == run.digest:
            done["unchanged"] += 1
            continue
        if old is not None:
            client.delete_run(old.info.run_id)
        _write_run(client, experiment, run)
        done["new" if old is None else "replaced"] += 1
    return done


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    page = client.search_runs([experiment])
    yield from page
    while page.token:
        page = client.search_runs([experiment], page_token=page.token)
        yield from page


def _write_run(client: Any, experiment: str, run: TrackedRun) -> None:
    from mlflow.entities import Metric, Param

    tags = {key: shortened(text, 5000) for key, text in run.tags.items()}
    tags |= {RUN: run.identity, "mlflow.note.content": run.caption}
    created = client.create_run(
        experiment,
        start_time=_milliseconds(run.started),
        tags=tags,
        run_name=shortened(run.title, 250),
    )
    # Results come at the curve's last step, so that they are a metric's latest value.
    last = max((point.epochs_trained for point in run.curve), default=0)
    metrics = [
        Metric(key, value, _milliseconds(point.at), point.epochs_trained)
        for point in run.curve
        for key, value in point.values.items()
    ] + [Metric(key, value, _milliseconds(run.ended), last) for key, value in run.metrics.items()]
    parameters = [Param(key, shortened(str(value), 500)) for key, value in run.parameters.items()]
    for some in _chunks(parameters, _PARAMETERS):
        client.log_batch(created.info.run_id, params=some)
    for some in _chunks(metrics, _METRICS):
        client.log_batch(created.info.run_id, metrics=some)
    client.set_terminated(
        created.info.run_id, _STATUS.get(run.status, "RUNNING"), _milliseconds(run.ended)
    )
    client.set_tag(created.info.run_id, DIGEST, run.digest)


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
