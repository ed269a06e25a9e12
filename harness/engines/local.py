"""Runs on this machine, one at a time: runs that share a host disturb each other's energy.

Each run is a process of its own, forked from a server that has imported torch once; each has a
recorder outside it. This process imports no torch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from harness.atomic import write_atomically
from harness.energy.meter import MeterSetup
from harness.energy.meters.estimate import watts_per_thread
from harness.energy.recorder.conditions import check_isolation
from harness.energy.recorder.process import RecorderProcess
from harness.errors import UsageError
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, Status
from harness.spec import RunSpec
from harness.worker_entry import refusals, work

POLL_S = 0.2
"""Time between two looks at a run, for the progress display."""
PATIENCE_S = 20.0
"""Time that a stopped run gets before it is killed."""


@dataclass(frozen=True)
class Outcome:
    """How one run stands now, and whether this call worked on it."""

    spec: RunSpec
    folder: RunFolder
    status: Status
    worked: bool


Watcher = Callable[[RunSpec, RunFolder], None]


class LocalEngine:
    """Executes runs in order.

    Args:
        study: The results folder.
        watch: Called over and over while a run works.
    """

    def __init__(self, study: StudyFolder, watch: Watcher) -> None:
        self._study = study
        self._watch = watch
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.worker"])
        _start_fork_server()
        self._watts, self._watts_note = watts_per_thread()

    def run(self, specs: Iterable[RunSpec]) -> Iterable[Outcome]:
        """Work on every run that is neither done nor failed; yields each run's outcome."""
        for spec in specs:
            folder = self._study.run(spec)
            status = Journal(folder).status
            worked = status not in ("done", "failed")
            if worked:
                self._prepare(spec, folder)
                self._work_on(spec, folder)
            yield Outcome(spec, folder, Journal(folder).status, worked)
            if worked:
                folder.pack_traces()

    def check(self, specs: list[RunSpec]) -> None:
        """Find out whether this machine can carry out all of the runs, before any begins.

        Raises:
            UsageError: It cannot; the message says which setting asks too much.
        """
        if not specs:
            return
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=refusals, args=(specs, theirs))
        process.start()
        theirs.close()
        said = _receive(mine, lambda: None)
        process.join()
        if said is None:
            raise RuntimeError("the process that looks at this machine's devices died")
        if said["refused"]:
            raise UsageError("\n".join(said["refused"]))

    def _prepare(self, spec: RunSpec, folder: RunFolder) -> None:
        folder.path.mkdir(parents=True, exist_ok=True)
        write_atomically(folder.spec, spec.model_dump_json(indent=2).encode())

    def _work_on(self, spec: RunSpec, folder: RunFolder) -> None:
        mine, theirs = self._context.Pipe()
        announced, announcing = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(folder.path, theirs, announcing))
        process.start()
        theirs.close()
        announcing.close()
        recorder = None
        try:
            hello = _receive(mine, lambda: self._watch(spec, folder))
            if hello is not None:
                recorder = self._start_recorder(
                    spec, folder, process.pid or 0, hello["gpus"], announced
                )
                check_isolation(spec.energy, recorder.conditions)
                with contextlib.suppress(BrokenPipeError):  # it is gone; the next line finds out
                    mine.send("go")
                _receive(mine, lambda: self._watch(spec, folder))
        except BaseException:
            process.terminate()
            mine.poll(PATIENCE_S)  # until it has closed its last window, or is gone
            raise
        finally:
            # The recorder takes its last readings while the run's process still exists.
            if recorder is not None:
                recorder.stop()
            mine.close()
            announced.close()
            process.join(PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()

    def _start_recorder(
        self,
        spec: RunSpec,
        folder: RunFolder,
        process_id: int,
        gpus: list[str],
        announced: Connection,
    ) -> RecorderProcess:
        setup = MeterSetup(
            process_id=process_id,
            gpus=tuple(gpus) if spec.energy.gpus == "used" else None,
            watts_per_thread=self._watts,
            watts_note=self._watts_note,
        )
        attempt = len(Journal(folder).attempts) + 1
        return RecorderProcess(folder.trace(attempt), spec.energy, setup, announced.fileno())


def _start_fork_server() -> None:
    # The server inherits the block, so that Ctrl-C while it imports torch is not for it to answer.
    # Here Ctrl-C is only put off; ignored, it would be lost. The tracker comes first, since its
    # start lifts the block.
    resource_tracker.ensure_running()
    was = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, was)


def _receive(channel: Connection, meanwhile: Callable[[], None]) -> dict[str, Any] | None:
    """What the run says next; None if its process is gone."""
    while not channel.poll(POLL_S):
        meanwhile()
    try:
        said: dict[str, Any] = channel.recv()
    except (EOFError, ConnectionResetError):
        return None
    return said
