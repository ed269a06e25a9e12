"""One attempt at one run: its process, its recorder, and their orderly end whatever happens."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from harness.energy.recorder.conditions import check_isolation
from harness.energy.recorder.process import RecorderProcess
from harness.energy.sensors.base import MeterSetup
from harness.errors import MeasurementError, StorageError
from harness.results.folder import RunFolder
from harness.results.journal import Journal, Status
from harness.runner.worker_main import Resources, main
from harness.settings.run_spec import RunSpec
from harness.utils.file_lock import Hold
from harness.utils.jsonl import LogWriter

POLL_S = 0.2
"""Time between two looks at a run."""
_FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS}
)
"""Signals that a process causes itself."""
TIMEOUT_S = 20.0
"""Time that a stopped run gets before it is killed."""

Look = Callable[[], None]
"""Called repeatedly while a run works; raises `StopRun` to end it."""


class StopRun(Exception):  # noqa: N818 - an order, not an error
    """Raised to end a run cleanly.

    Attributes:
        status: As what: "interrupted" may go on later, "failed" not.
    """

    def __init__(
        self, reason: str, status: Literal["interrupted", "failed"] = "interrupted"
    ) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Estimate:
    """Assumed power of a busy thread on a machine without a sensor, and its source."""

    watts_per_thread: float
    note: str


class RunProcess:
    """A run's process and its recorder, from their start to the end of both.

    Args:
        spec: The run.
        folder: The run's folder.
        held: Its lock, passed on to both processes, so that it outlives this one if they do; the
            first node has it.
        context: Starts processes that have torch already.
        estimate: For machines without a sensor.
        resources: What it may use of the machine.
    """

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        held: Hold | None,
        context: ForkServerContext,
        estimate: Estimate,
        resources: Resources,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._held = held
        self._context = context
        self._estimate = estimate
        self._resources = resources
        self._number = len(Journal(folder).attempts) + 1
        self._recorder: RecorderProcess | None = None
        self._over_ns = 0

    def run(self, look: Look) -> str | None:
        """Work until the run is done, fails, or is stopped.

        Args:
            look: Called meanwhile; what it raises ends the run in order, and is raised again.

        Returns:
            Why the process died without a message; None if it ended in order.

        Raises:
            StopRun: `look` raised it.
            StorageError: The run could not write its results.
            MeasurementError: The energy cannot be measured as asked for.
        """
        channel, theirs = self._context.Pipe()
        announced, announcing = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=main, args=(self._folder.path, theirs, announcing, self._held, self._resources)
        )
        process.start()
        theirs.close()
        announcing.close()
        try:
            with ExitStack() as last:
                last.callback(_end, process)
                last.callback(announced.close)
                last.callback(channel.close)
                # The recorder takes its last readings while the run's process still exists.
                last.callback(self._stop_recorder)
                last.enter_context(self._stopped_in_order(process, channel))
                over = self._converse(process, channel, announced, look)
        except StopRun as reason:
            self._note_death(f"{reason}; killed after it ignored SIGTERM", reason.status)
            raise
        if over is None:
            how = _how_it_ended(process.exitcode)
            self._note_death(how, "failed" if _by_itself(process.exitcode) else "interrupted")
            return how
        if over["cannot_store"]:
            raise StorageError(over["cannot_store"])
        return None

    def _converse(
        self, process: BaseProcess, channel: Connection, announced: Connection, look: Look
    ) -> dict[str, Any] | None:
        """The last message of the run; None if its process died."""

        def watch() -> None:
            if self._recorder is not None:
                self._recorder.revive()
            look()

        hello = receive(channel, watch)
        if hello is None:
            return None
        if hello["refused"]:
            raise MeasurementError(hello["refused"])
        self._recorder = self._start_recorder(process.pid or 0, hello["gpus"], announced)
        check_isolation(self._spec.energy, self._recorder.conditions)
        _send(channel, "go")
        return receive(channel, watch)

    def _start_recorder(
        self, process_id: int, gpus: list[str], announced: Connection
    ) -> RecorderProcess:
        energy = self._spec.energy
        setup = MeterSetup(
            process_id=process_id,
            gpus=tuple(gpus) if energy.gpus == "used" else None,
            watts_per_thread=self._estimate.watts_per_thread,
            watts_note=self._estimate.note,
            spare_gpus=self._resources.spare_gpus,
            own_host=self._resources.own_host,
            first_node=self._resources.node.rank == 0,
        )
        return RecorderProcess(
            self._folder.trace(self._number, self._resources.node.rank),
            energy,
            setup,
            borders=announced.fileno(),
            keep=[self._held.fileno()] if self._held else [],
        )

    def _stop_recorder(self) -> None:
        if self._recorder is not None:
            self._recorder.stop()

    @contextmanager
    def _stopped_in_order(self, process: BaseProcess, channel: Connection) -> Iterator[None]:
        """Whatever is raised within, let the run close its last window first."""
        try:
            yield
        except BaseException as reason:
            _send(channel, [reason.status, str(reason)] if isinstance(reason, StopRun) else None)
            process.terminate()
            # Until it has closed its last window, or is gone; what it draws is still recorded.
            if not channel.poll(TIMEOUT_S):
                process.kill()
            raise
        finally:
            self._over_ns = time.monotonic_ns()

    def _note_death(self, reason: str, status: Status) -> None:
        """Write to the journal how the process ended, if the process itself has not."""
        if self._resources.node.rank:
            return  # the journal is the first node's
        attempts = Journal(self._folder).attempts
        if len(attempts) < self._number or attempts[-1].has_ended:
            return
        with contextlib.suppress(OSError):
            log = LogWriter(self._folder.journal)
            event = {
                "event": "died",
                "time_ns": self._over_ns,
                "status": status,
                "reason": reason,
            }
            log.append(event, durable=True)
            log.close()


def _by_itself(exit_code: int | None) -> bool:
    """Whether a process ended through a fault of its own, not by a signal of another process."""
    return exit_code is not None and (exit_code >= 0 or -exit_code in _FAULTS)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None:
        return "the process did not end"
    if exit_code >= 0:
        return f"the process ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the process was ended by {name}{hint}"


def _end(process: BaseProcess) -> None:
    process.join(TIMEOUT_S)
    if process.is_alive():
        process.kill()
        process.join(TIMEOUT_S)


def _send(channel: Connection, word: str | list[str] | None) -> None:
    with contextlib.suppress(BrokenPipeError):  # it is gone; the next word to come finds out
        channel.send(word)


def receive(channel: Connection, meanwhile: Look) -> dict[str, Any] | None:
    """The next message of the run; None if its process is gone."""
    while not channel.poll(POLL_S):
        meanwhile()
    try:
        message: dict[str, Any] = channel.recv()
    except (EOFError, ConnectionResetError):
        return None
    return message
