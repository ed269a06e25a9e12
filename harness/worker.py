"""The process of one run: finds its device, waits for the recorder, drives the method."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
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
from harness.errors import MeasurementError, RunError
from harness.execute import Bench
from harness.gpu_lease import lease
from harness.orphan import end_with_parent
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
from harness.training.memory import is_out_of_memory
from harness.training.state import TrainingState
from harness.workloads.workload import open_workload

_PLACE_FAILED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE})
"""What a full, withdrawn or broken disk answers."""


class _Stopped(BaseException):
    """The run was told to stop; not an error of anybody's."""


def work(folder_path: Path, channel: Connection, borders: Connection) -> None:
    """Work on one run until it is done, fails, or is stopped.

    Args:
        folder_path: The run's folder, with its specification.
        channel: To the engine: this process says which GPUs it uses, or why it may not, is told
            "go" when the recorder reads, says when its last window is closed, and leaves when told.
            With SIGTERM comes the reason, if there is one.
        borders: To the recorder: a byte for every border between two windows.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    end_with_parent()
    folder = RunFolder(folder_path)
    _redirect_output(folder.log)
    spec = folder.read_spec()
    device = open_device(deterministic=spec.training.deterministic)
    try:
        # The fork server blocks it, for itself and by inheritance for its processes.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        gpus = _gpu_uuids(device)
        with lease(gpus, share=spec.energy.share_gpu) as shared_with:
            warm_up(device, spec.energy.warm_up_s)
            channel.send({"gpus": gpus, "refused": None})
            if channel.recv() != "go":
                return  # stopped before it began
            cannot_store = _attempt(
                spec, folder, device, announcer(borders), gpus, shared_with, lambda: _order(channel)
            )
            channel.send({"cannot_store": cannot_store})
            channel.recv()
    except MeasurementError as error:
        channel.send({"gpus": [], "refused": str(error)})
    except (_Stopped, EOFError, BrokenPipeError):
        return  # stopped before it began, or told to leave


def _order(channel: Connection) -> tuple[str, str | None]:
    """As what the engine ends the run, and why if it said so."""
    said = channel.recv() if channel.poll() else None
    return (said[0], said[1]) if isinstance(said, list) else ("interrupted", None)


def _attempt(
    spec: RunSpec,
    folder: RunFolder,
    device: torch.device,
    announce: Callable[[], None],
    gpus: Sequence[str] = (),
    shared_with: Sequence[str] = (),
    order: Callable[[], tuple[str, str | None]] = lambda: ("interrupted", None),
) -> str | None:
    """One attempt, journaled from its first moment to its last.

    Returns:
        Why results could not be written; None if they could.
    """
    try:
        journal = JournalWriter(folder.journal, _synchronizer(device), announce)
    except OSError as error:
        return _cannot_store(error, folder) or f"{folder.path}: {error}"
    try:
        number = len(Journal(folder).attempts) + 1
        start, damage = _restored(folder, device)
        journal.event(
            "attempt",
            durable=True,
            number=number,
            restored=start.number if start else 0,
            damage=damage,
            gpus=gpus,
            gpu_shared_with=list(shared_with),
            **_environment(device, spec),
        )
        _run(spec, folder, device, journal, start)
        journal.end("done")
    except _Stopped:
        status, reason = order()
        journal.end(status, reason=reason)
    except BaseException as error:  # noqa: BLE001 - whatever a method or a model raises, sys.exit included, ends this run, not the study
        return _fail(error, journal, folder)
    return None


def _fail(error: BaseException, journal: JournalWriter, folder: RunFolder) -> str | None:
    """End an attempt that raised; why results could not be written, if that was it."""
    cannot_store = isinstance(error, OSError) and _cannot_store(error, folder)
    with suppress(OSError):
        traceback.print_exc()
    if cannot_store:
        with suppress(OSError):  # the last lines may find room, or not
            journal.end("interrupted", reason=cannot_store)
        return cannot_store
    said = [] if isinstance(error, RunError) else [type(error).__name__]
    reason = ": ".join(filter(None, [*said, str(error)]))
    try:
        journal.end("failed", reason=reason)
    except OSError as full:
        return _cannot_store(full, folder) or f"{folder.path}: {full}"
    return None


def _cannot_store(error: OSError, folder: RunFolder) -> str | None:
    """Whether it is the place of the results that failed, not the run: then it can go on later."""
    if not folder.spec.exists():
        return f"{folder.path}: the folder of the run has vanished"
    if error.errno in _PLACE_FAILED:
        return f"{folder.path}: {error.strerror}"
    return None


def _restored(folder: RunFolder, device: torch.device) -> tuple[Checkpoint | None, str | None]:
    """The newest checkpoint, and what is wrong with it: a damaged one is put aside."""
    try:
        return Checkpoint.load(folder.checkpoint, device), None
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        folder.checkpoint.replace(folder.damaged_checkpoint)
        return None, f"checkpoint: damaged, so that work begins anew: {type(error).__name__}"


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


def _redirect_output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(file, stream.fileno())
