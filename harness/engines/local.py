"""Runs on this machine, one at a time: runs that share a host disturb each other's energy.

Each run is a process of its own, forked from a server that has imported torch once; each has a
recorder outside it. This process imports no torch. Several of these engines may work on one results
folder: each takes the runs that no other holds.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker

from harness.atomic import write_atomically
from harness.energy.meters.estimate import watts_per_thread
from harness.engines.attempt import AttemptProcess, Estimate, StopRun, receive
from harness.engines.guard import Guard
from harness.engines.limits import Account, Reached
from harness.errors import StorageError, UsageError
from harness.hold import AlreadyHeld, Hold
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, Status
from harness.spec import RunSpec
from harness.worker_entry import refusals


@dataclass(frozen=True)
class Outcome:
    """How one run stands now, and whether this call worked on it.

    Attributes:
        spec: The run.
        folder: Where it lies.
        status: How it stands.
        worked: Whether this call worked on it.
        note: Why it is not done, if it is neither done nor failed.
        reached: The limit that ended it, or kept it from being begun.
    """

    spec: RunSpec
    folder: RunFolder
    status: Status
    worked: bool = False
    note: str | None = None
    reached: Reached | None = None


Watcher = Callable[[RunSpec, RunFolder], None]


class LocalEngine:
    """Executes runs in order.

    Args:
        study: The results folder.
        account: What runs have spent, and when it is enough.
        watch: Called over and over while a run works.
        relied_on: The runs that a run builds on, which must be done before.
        retry_failed: Begin failed runs anew, each as a further attempt beside those that failed.
    """

    def __init__(
        self,
        study: StudyFolder,
        account: Account,
        watch: Watcher,
        relied_on: Callable[[RunSpec], list[RunSpec]],
        *,
        retry_failed: bool = False,
    ) -> None:
        self._study = study
        self._account = account
        self._watch = watch
        self._relied_on = relied_on
        self._retry_failed = retry_failed
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["harness.worker"])
        _start_fork_server()
        self._estimate = Estimate(*watts_per_thread())

    def run(self, specs: list[RunSpec]) -> Iterator[Outcome]:
        """Work on every run that is not done; yields each run's outcome.

        What others hold is tried again after the rest, and left to them if they still work on it.

        Raises:
            StorageError: Results cannot be written any more; no further run is begun.
            MeasurementError: The energy cannot be measured as asked for.
        """
        waiting = specs
        while waiting:
            postponed = []
            for spec in waiting:
                outcome = self._turn(spec)
                if outcome.note and not outcome.worked and not outcome.reached:
                    postponed.append(outcome)
                    continue
                yield outcome
                if outcome.reached and outcome.reached.ends_study:
                    return
            if len(postponed) == len(waiting):
                yield from postponed
                return
            waiting = [outcome.spec for outcome in postponed]

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
        said = receive(mine, lambda: None)
        process.join()
        if said is None:
            raise RuntimeError("the process that looks at this machine's devices died")
        if said["refused"]:
            raise UsageError("\n".join(said["refused"]))

    def _turn(self, spec: RunSpec) -> Outcome:
        """Work on one run, if it needs work and nothing stands in the way."""
        folder = self._study.run(spec)
        if not self._needs_work(folder):
            return Outcome(spec, folder, Journal(folder).status)
        for other in self._relied_on(spec):
            status = Journal(self._study.run(other)).status
            if status not in ("done", "failed"):
                note = f"builds on {other.title}, which is {status}"
                return Outcome(spec, folder, Journal(folder).status, note=note)
        reached = self._account.reached(folder)
        if reached:
            status = Journal(folder).status
            return Outcome(spec, folder, status, note=reached.text, reached=reached)
        try:
            held = folder.hold()
        except AlreadyHeld as other_process:
            note = f"{other_process.holder} works on it"
            return Outcome(spec, folder, Journal(folder).status, note=note)
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None
        try:
            # Another may have finished it between the first look and the lock.
            if not self._needs_work(folder):
                return Outcome(spec, folder, Journal(folder).status)
            return self._work_on(spec, folder, held)
        finally:
            held.release()

    def _needs_work(self, folder: RunFolder) -> bool:
        status = Journal(folder).status
        return status != "done" and (status != "failed" or self._retry_failed)

    def _work_on(self, spec: RunSpec, folder: RunFolder, held: Hold) -> Outcome:
        self._prepare(spec, folder)
        attempt = AttemptProcess(spec, folder, held, self._context, self._estimate)
        guard = Guard(spec, folder, self._account)

        def look() -> None:
            self._watch(spec, folder)
            guard.look()

        note = None
        try:
            note = attempt.run(look)
        except StopRun as reason:
            note = str(reason)
        finally:
            self._watch(spec, folder)  # a last time before the trace is packed
            folder.pack_traces()
            self._account.close(folder)
        return Outcome(spec, folder, Journal(folder).status, True, note, guard.reached)

    def _prepare(self, spec: RunSpec, folder: RunFolder) -> None:
        try:
            write_atomically(folder.spec, spec.model_dump_json(indent=2).encode())
            if Journal(folder).status == "failed":
                folder.start_over()
        except OSError as error:
            raise StorageError(f"{folder.path}: {error.strerror}") from None


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
