"""`tensorboard`: event files, a folder per run, by TensorBoard's own writer."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.integrations.exporters.tracked import TrackedRun, place, tracked_runs

if TYPE_CHECKING:
    from harness.results.table import Tables

_ENERGY = "cumulative_energy_j"
_OURS = ".energy-harness"
"""Suffix of the files that an export may replace."""
_FEW_JOULES = 10_000.0
"""Below this, joules are too coarse a step: steps are whole numbers."""


@dataclass(frozen=True)
class _Scalar:
    tag: str
    value: float
    step: int
    at: datetime


def export(tables: Tables, folder: Path, out: str | None) -> str:
    """Write event files: accuracy by epochs and by energy, results, and hyper-parameters.

    An earlier export of a run is replaced; other files in the folder are left alone. TensorBoard
    keeps values as 32-bit floats.
    """
    path = place(folder, out, "tensorboard")
    runs = list(tracked_runs(tables))
    most_j = max((point.values.get(_ENERGY, 0.0) for r in runs for point in r.curve), default=0.0)
    unit, steps_per_j = ("mJ", 1000) if most_j < _FEW_JOULES else ("J", 1)
    for run in runs:
        _write_run(path.joinpath(*run.place), run, list(_scalars(run, unit, steps_per_j)))
    return f"{path}: {len(runs)} runs\nlook: tensorboard --logdir {shlex.quote(str(path))}"


def _scalars(run: TrackedRun, unit: str, steps_per_j: int) -> Iterable[_Scalar]:
    """A run's curve by epochs and by energy, and its results at the curve's last step.

    The axis names the kind of energy, so that measured and estimated joules never share one.
    """
    word = "" if run.standing == "measured" else f"{run.standing.replace(' ', '_')}_"
    for point in run.curve:
        epochs, at = point.epochs_trained, point.at
        score, energy_j = point.values.get("val_score"), point.values.get(_ENERGY)
        if score is not None:
            yield _Scalar("val_score/by_epoch", score, epochs, at)
            if energy_j is not None:
                step = round(energy_j * steps_per_j)
                yield _Scalar(f"val_score/by_{word}{unit}", score, step, at)
        if energy_j is not None:
            yield _Scalar(f"{word}{_ENERGY}/by_epoch", energy_j, epochs, at)
    last = max((point.epochs_trained for point in run.curve), default=0)
    for key, value in run.metrics.items():
        yield _Scalar(f"result/{key}", value, last, run.ended)


def _write_run(path: Path, run: TrackedRun, scalars: list[_Scalar]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for old in path.glob(f"events.out.tfevents.*{_OURS}"):
        old.unlink()
    writer = EventFileWriter(str(path), filename_suffix=_OURS)
    try:
        for at, step, summary in _summaries(run, scalars):
            writer.add_event(Event(wall_time=at.timestamp(), step=step, summary=summary))
    finally:
        writer.close()


def _summaries(run: TrackedRun, scalars: list[_Scalar]) -> Iterable[tuple[datetime, int, Any]]:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2, summary_v2
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.scalar.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    chosen = {key: value for key, value in run.parameters.items() if value is not None}
    chosen |= {"arm": run.arm, "status": run.status, "energy": run.standing}
    yield (
        run.started,
        0,
        summary_v2.hparams_pb(chosen, run.identity, run.started.timestamp()),
    )
    for scalar in scalars:
        about = create_summary_metadata("", run.caption)
        tensor = make_tensor_proto(scalar.value, dtype="float32")
        value = Summary.Value(tag=scalar.tag, tensor=tensor, metadata=about)
        yield scalar.at, scalar.step, Summary(value=[value])
    status = Status.STATUS_SUCCESS if run.status == "done" else Status.STATUS_FAILURE
    ended = plugin_data_pb2.HParamsPluginData(
        session_end_info=plugin_data_pb2.SessionEndInfo(
            status=status, end_time_secs=run.ended.timestamp()
        )
    )
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(ended),
        tensor=metadata.NULL_TENSOR,
    )
    yield run.ended, 0, Summary(value=[value])
