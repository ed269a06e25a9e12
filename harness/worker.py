"""The process of one run: finds its device, waits for the recorder, drives the method."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import sklearn.datasets
import sklearn.model_selection
import torch
import torch._dynamo  # the first optimizer imports it: three seconds that no run should pay
import torch_pruning
import torchvision

from harness import __version__
from harness.energy.recorder.borders_pipe import announcer
from harness.errors import RunError
from harness.execute import Bench
from harness.registry import Registry
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.journal_writer import JournalWriter
from harness.results.recall import recall
from harness.run import drive
from harness.spec import RunSpec
from harness.training.checkpoint import Checkpoint
from harness.training.device import open_device
from harness.training.gpu_load import warm_up
from harness.training.state import TrainingState
from harness.workloads.workload import open_workload

STOPPED = 143
"""Exit code after SIGTERM: stopped from outside, to be resumed."""


class _Stopped(BaseException):
    """The run was told to stop; not an error of anybody's."""


def work(folder_path: Path, channel: Connection, borders: Connection) -> None:
    """Work on one run until it is done, fails, or is stopped.

    Args:
        folder_path: The run's folder, with its specification.
        channel: To the engine: this process says which GPUs it uses, is told "go" when the
            recorder reads, says "over" when its last window is closed, and leaves when told.
        borders: To the recorder: a byte for every border between two windows.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    _leave_with_parent()
    folder = RunFolder(folder_path)
    _redirect_output(folder.log)
    spec = folder.read_spec()
    device = open_device(deterministic=spec.training.deterministic)
    try:
        warm_up(device, spec.energy.warm_up_s)
        channel.send({"gpus": _gpu_uuids(device)})
        channel.recv()
        _attempt(spec, folder, device, announcer(borders))
        channel.send("over")
        channel.recv()
    except (_Stopped, EOFError, BrokenPipeError):
        return  # stopped before it began, or told to leave


def _attempt(
    spec: RunSpec, folder: RunFolder, device: torch.device, announce: Callable[[], None]
) -> None:
    journal = JournalWriter(folder.journal, _synchronizer(device), announce)
    attempts = len(Journal(folder).attempts)
    start = Checkpoint.load(folder.checkpoint, device)
    journal.event(
        "attempt",
        durable=True,
        number=attempts + 1,
        restored=start.number if start else 0,
        **_environment(device, spec),
    )
    try:
        _run(spec, folder, device, journal, start)
        journal.end("done")
    except _Stopped:
        journal.end("interrupted")
    except Exception as error:  # noqa: BLE001 - whatever a method or a model raises ends this run, not the study
        traceback.print_exc()
        reason = str(error) if isinstance(error, RunError) else f"{type(error).__name__}: {error}"
        journal.end("failed", reason=reason)


def _run(
    spec: RunSpec,
    folder: RunFolder,
    device: torch.device,
    journal: JournalWriter,
    start: Checkpoint | None,
) -> None:
    method = Registry.discover(spec.plugins).get(spec.method)(**spec.hyperparameters)
    workload = open_workload(spec.workload, spec.training, device)
    state = TrainingState(workload, spec.training, spec.seed, folder.snapshot)
    if start:
        state.load_state_dict(start.state)
    study = StudyFolder(folder.path.parents[2])
    bench = Bench(
        workload,
        spec.training,
        spec.seed,
        state,
        journal,
        functools.partial(recall, study, spec),
    )
    drive(method, bench, folder, start)


def _synchronizer(device: torch.device) -> Callable[[], None]:
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def _gpu_uuids(device: torch.device) -> list[str]:
    # By UUID, since CUDA's order of devices is not NVML's.
    if device.type != "cuda":
        return []
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return [uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"]


def _environment(device: torch.device, spec: RunSpec) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "wall": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "process_id": os.getpid(),
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "versions": {
            "energy-harness": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "torch-pruning": torch_pruning.__version__,
            "scikit-learn": sklearn.__version__,
            "system": platform.platform(),
        },
        "plugins": {
            path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in spec.plugins
        },
    }


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped


def _leave_with_parent() -> None:
    """End this process when the engine's process is gone, whatever the training is doing."""
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(STOPPED)

    threading.Thread(target=wait, daemon=True).start()


def _redirect_output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(file, stream.fileno())
