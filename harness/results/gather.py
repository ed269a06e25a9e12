"""Reads many runs in several processes at once, since reading is bound by the CPU.

Each is a fresh interpreter: a fork would copy the threads of this process in an unknown state, and
multiprocessing's other start methods run the main script again, which `harness.load` must not.
joblib's workers do not, but they took longer to read 12 and 200 runs, and lived on for minutes when
this process was killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from harness.results.carbon import StudyCarbon
from harness.results.folder import RunFolder
from harness.results.rows import RunRows, read_run
from harness.settings.run_spec import RunSpec

Job = tuple[RunFolder, RunSpec, str]
"""A run's folder, its specification and its arm's label: the arguments of `read_run`."""

MAX_PROCESSES = 4
"""Each holds about 120 MiB; with the tables and figures of the report that stays within 1 GiB."""
WORTH_BYTES = 16 * 2**20
"""Smaller traces, about twenty packed hours, are read faster than processes start."""
QUEUED_PER_PROCESS = 2
"""Runs that a process is given in advance, so that it need not wait for this one."""


def gather(jobs: Sequence[Job], carbon: StudyCarbon) -> list[RunRows]:
    """The rows of many runs, in the order given.

    Args:
        jobs: The runs.
        carbon: Computes their CO2e.

    Raises:
        Exception: What `read_run` raised, for the first run of those that raised.
        RuntimeError: A process that reads runs died.
    """
    count = min(_usable_cpus(), MAX_PROCESSES, len(jobs))
    if count < 2 or not sys.executable or not _is_worth_it(jobs):
        return [read_run(*job, carbon) for job in jobs]
    with _readers(count) as readers:
        return _gathered(jobs, carbon, readers)


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_worth_it(jobs: Sequence[Job]) -> bool:
    size = 0
    for folder, *_ in jobs:
        with suppress(OSError):  # reading it will report that
            size += sum(trace.stat().st_size for trace in folder.path.glob("trace-*"))
        if size > WORTH_BYTES:
            return True
    return False


@contextmanager
def _readers(count: int) -> Iterator[list[Connection]]:
    """Start `count` processes that read runs; yields connections. They end with the context."""
    processes: list[subprocess.Popen[bytes]] = []
    connections: list[Connection] = []
    try:
        for _ in range(count):
            mine, theirs = Pipe()
            connections.append(mine)
            with theirs:
                processes.append(_reader(theirs.fileno()))
        yield connections
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.kill()  # it has nothing to lose
            process.wait()


def _reader(file: int) -> subprocess.Popen[bytes]:
    # It must find the same package, whatever the current folder.
    home = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.results.reader", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(file,),
        start_new_session=True,  # out of reach of the terminal's Ctrl-C
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
    )


def _gathered(
    jobs: Sequence[Job], carbon: StudyCarbon, readers: Sequence[Connection]
) -> list[RunRows]:
    found: dict[int, RunRows] = {}
    failed: dict[int, Exception] = {}
    waiting = iter(enumerate(jobs))
    given = dict.fromkeys(readers, 0)

    def give(reader: Connection) -> None:
        # After a failure only runs before it matter, and those are given away already.
        job = None if failed else next(waiting, None)
        if job is not None:
            reader.send(job)
            given[reader] += 1

    try:
        for reader in readers:
            reader.send(carbon)
            for _ in range(QUEUED_PER_PROCESS):
                give(reader)
        while busy := [reader for reader in readers if given[reader]]:
            ready = wait(busy)
            for reader in (each for each in busy if each in ready):
                number, outcome = reader.recv()
                given[reader] -= 1
                (failed if isinstance(outcome, Exception) else found)[number] = outcome
                give(reader)
    except (EOFError, OSError):
        raise RuntimeError("a process that reads runs died") from None
    if failed:
        raise failed[min(failed)]
    return [found[number] for number in range(len(jobs))]
