"""Executing one run if it is needed and allowed, in a process that has torch already.

LocalEngine.run or `worker` -> RunScheduler.run_if_needed -> RunProcess.run
    -> (in the run's process) worker.main -> run_method
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker

from harness.energy.sensors.estimate import watts_per_thread
from harness.errors import StorageError, UsageError
from harness.results.carbon import keep_wait
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, Status
from harness.runner.worker_main import Resources, refusals
from harness.scheduler.green_gate import GreenGate, NoLongerKnown
from harness.scheduler.limits import Budgets, Guard, LimitReached
from harness.scheduler.run_process import Estimate, RunProcess, StopRun, receive
from harness.settings.run_spec import RunSpec
from harness.utils.atomic_write import write_atomically
from harness.utils.file_lock import AlreadyHeld, Hold


@dataclass(frozen=True)
class RunOutcome:
    """The state of one run, and whether this call worked on it.

    Attributes:
        spec: The run.
        folder: The run's folder.
        status: Its state.
        worked: Whether this call worked on it.
        note: Why it is not done, if it is neither done nor failed.
        reached: The limit that ended it, or kept it from being begun.
        is_paused: Whether it was ended at a checkpoint to wait for green electricity.
    """

    spec: RunSpec
    folder: RunFolder
    status: Status
    worked: bool = False
    note: str | None = None
    reached: LimitReached | None = None
    is_paused: bool = False

    @property
    def is_postponed(self) -> bool:
        """Whether something else must end before it can be worked on."""
        return bool(self.note) and not self.worked and not self.reached


Watcher = Callable[[RunSpec, RunFolder], None]
"""Called repeatedly while a run works; what it raises ends the run cleanly."""


class RunScheduler:
    """Executes runs in processes forked from a server that has imported torch once.

    Several of these, here or elsewhere, may work on one results folder: each takes the runs that no
    other holds.

    Args:
        study: The results folder.
        budgets: What runs have spent, and the limits.
        relied_on: The runs that a run builds on, which must be done before.
        retry_failed: Retry failed runs, each as a further attempt beside those that failed.
        gate: Holds runs back until electricity is green enough; None lets all begin at once.
    """

    def __init__(
        self,
        study: StudyFolder,
        budgets: Budgets,
        relied_on: Callable[[RunSpec], list[RunSpec]],
        *,
        retry_failed: bool = False,
        gate: GreenGate | None = None,
    ) -> None:
        self._study = study
        self._gate = gate
        self._budgets = budgets
        self._relied_on = relied_on
        self._retry_failed = retry_failed
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.runner.preload"])
        _start_fork_server()
        self._estimate = Estimate(*watts_per_thread())

    def check(self, specs: list[RunSpec], processes: int = 1) -> None:
        """Check that this machine can carry out all of the runs, before any begins.

        Args:
            specs: The runs; of an arm with several seeds one is looked at.
            processes: How many processes train each together.

        Raises:
            UsageError: It cannot; the message says which setting asks too much.
        """
        if not specs:
            return
        mine, theirs = self._context.Pipe()
        arms = list({spec.arm: spec for spec in specs}.values())
        process = self._context.Process(target=refusals, args=(arms, processes, theirs))
        process.start()
        theirs.close()
        reply = receive(mine, lambda: None)
        process.join()
        if reply is None:
            raise RuntimeError("the process that examines this machine's devices died")
        if reply["refused"]:
            raise UsageError("\n".join(reply["refused"]))

    def run_if_needed(self, spec: RunSpec, resources: Resources, watch: Watcher) -> RunOutcome:
        """Work on one run, if it needs work and nothing stands in the way.

        Args:
            spec: The run.
            resources: What it may use of the machine.
            watch: Called meanwhile.

        Raises:
            StorageError: Results cannot be written any more.
            MeasurementError: The energy cannot be measured as asked for.
        """
        while (outcome := self._run_once(spec, resources, watch)).is_paused:
            pass
        return outcome

    def _run_once(self, spec: RunSpec, resources: Resources, watch: Watcher) -> RunOutcome:
        """The same, up to the run's end or its next pause."""
        folder = self._study.run(spec)
        if not self._needs_work(folder):
            return RunOutcome(spec, folder, Journal(folder).status)
        for other in self._relied_on(spec):
            status = Journal(self._study.run(other)).status
            if status not in ("done", "failed"):
                note = f"builds on {other.title}, which is {status}"
                return RunOutcome(spec, folder, Journal(folder).status, note=note)
        reached = self._budgets.reached(folder)
        if reached:
            status = Journal(folder).status
            return RunOutcome(spec, folder, status, note=reached.text, reached=reached)
        try:
            waited_s = self._gate.wait(lambda: watch(spec, folder)) if self._gate else 0.0
        except StopRun as reason:
            return RunOutcome(spec, folder, Journal(folder).status, note=str(reason))
        except NoLongerKnown as reason:
            reached = LimitReached(True, str(reason), "a carbon.series of the time to come")
            status = Journal(folder).status
            return RunOutcome(spec, folder, status, note=reached.text, reached=reached)
        try:
            held = folder.hold()
        except AlreadyHeld as other_process:
            note = f"{other_process.holder} works on it"
            return RunOutcome(spec, folder, Journal(folder).status, note=note)
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None
        try:
            # Another may have finished it between the first look and the lock.
            if not self._needs_work(folder):
                return RunOutcome(spec, folder, Journal(folder).status)
            return self._work_on(spec, folder, held, resources, watch, waited_s)
        finally:
            held.release()

    def run_beside(self, spec: RunSpec, resources: Resources, watch: Watcher) -> RunOutcome:
        """Work on one run together with its first node, which holds it and writes its journal.

        Args:
            spec: The run.
            resources: What its part on this node may use.
            watch: Called meanwhile.

        Raises:
            MeasurementError: The energy cannot be measured as asked for.
        """
        folder = self._study.run(spec)
        if not self._needs_work(folder):
            return RunOutcome(spec, folder, Journal(folder).status)
        self._write(spec, folder)
        attempt = RunProcess(spec, folder, None, self._context, self._estimate, resources)
        note = None
        try:
            note = attempt.run(lambda: watch(spec, folder))
        except StopRun as reason:
            note = str(reason)
        finally:
            folder.pack_traces(resources.node.rank)
        return RunOutcome(spec, folder, Journal(folder).status, True, note)

    def _needs_work(self, folder: RunFolder) -> bool:
        status = Journal(folder).status
        return status != "done" and (status != "failed" or self._retry_failed)

    def _work_on(
        self,
        spec: RunSpec,
        folder: RunFolder,
        held: Hold,
        resources: Resources,
        watch: Watcher,
        waited_s: float,
    ) -> RunOutcome:
        self._prepare(spec, folder)
        if self._gate:
            self._keep_wait(folder, waited_s, self._gate)
        attempt = RunProcess(spec, folder, held, self._context, self._estimate, resources)
        guard = Guard(spec, folder, self._budgets, self._gate)

        def look() -> None:
            watch(spec, folder)
            guard.look()

        note = None
        try:
            note = attempt.run(look)
        except StopRun as reason:
            note = str(reason)
        finally:
            with suppress(StopRun):
                watch(spec, folder)  # a last time before the trace is packed
            folder.pack_traces()
            self._budgets.close(folder)
        status = Journal(folder).status
        is_paused = guard.is_paused and status == "interrupted"
        return RunOutcome(spec, folder, status, True, note, guard.reached, is_paused)

    def _keep_wait(self, folder: RunFolder, waited_s: float, gate: GreenGate) -> None:
        number = len(Journal(folder).attempts) + 1
        try:
            keep_wait(folder, number, waited_s, gate.behind_s, gate.rule)
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None

    def _prepare(self, spec: RunSpec, folder: RunFolder) -> None:
        self._write(spec, folder)
        try:
            if Journal(folder).status == "failed":
                folder.start_over()
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None

    def _write(self, spec: RunSpec, folder: RunFolder) -> None:
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            write_atomically(folder.spec, spec.model_dump_json(indent=2).encode())
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None


def _start_fork_server() -> None:
    # The server inherits the block: neither Ctrl-C while it imports torch is for it to answer, nor
    # the SIGTERM that a queue sends to everybody: with the server, runs would end at once. Here
    # both are only put off; ignored, they would be lost. The tracker comes first, since its start
    # lifts the block.
    resource_tracker.ensure_running()
    was = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        with sleeping_threads():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, was)


WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""For GNU's OpenMP, which torch brings on Linux, and for LLVM's and Intel's, elsewhere and in
conda's builds. GNU's then does not spin at all, unless GOMP_SPINCOUNT says so."""


@contextmanager
def sleeping_threads() -> Iterator[None]:
    """Set the environment so that idle OpenMP threads of processes started within sleep.

    By default they spin, which is quick on cores of their own. Beside other work a spinning thread
    keeps a core from the one that it waits for: a small network then takes several times as long,
    and the CPU time of the waiting is counted as the run's. OpenMP decides when torch loads it.
    Variables that the user has set stay.
    """
    added = {name: value for name, value in WAITING.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
