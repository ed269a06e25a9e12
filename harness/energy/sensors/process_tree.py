"""CPU time and memory of a run's process and its descendants, and CPU time of everything else."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable
from typing import Any

import psutil

from harness.energy.sensors.base import SensorError

LOOK_PERIOD_NS = 1_000_000_000
"""Time between two looks for new descendants."""
RECORDER = "harness.energy.recorder"
"""Part of the command line of a recorder; this process is one, and others may run beside it."""


class ProcessTree:
    """A process and its descendants.

    Raises:
        psutil.NoSuchProcess: There is no such process.
    """

    def __init__(self, process_id: int) -> None:
        self._process = psutil.Process(process_id)
        self._members = [self._process]
        self._recorders: set[psutil.Process] = set()
        self._looked_ns = 0
        self._last_s = 0.0
        self._gone_s = 0.0

    def cpu_time_s(self) -> float:
        """CPU time of all, those that have ended included.

        Raises:
            SensorError: The process is gone.
        """
        # The time of a child that was waited for is in its parent's children times. A child that
        # vanished without (its parent ignores it) makes the sum fall; what is lost is added up. So
        # does one that ended after its parent was read: read again, the parent includes it.
        now_s = self._sum_s()
        if now_s < self._last_s:
            now_s = self._sum_s()
        self._gone_s += max(self._last_s - now_s, 0.0)
        self._last_s = now_s
        return now_s + self._gone_s

    def _sum_s(self) -> float:
        total: float = sum(
            times.user + times.system + times.children_user + times.children_system
            for times in self._ask(psutil.Process.cpu_times)
        )
        return total

    def resident_gb(self) -> float:
        """Resident memory of all; pages they share count for each.

        Raises:
            SensorError: The process is gone.
        """
        resident: int = sum(memory.rss for memory in self._ask(psutil.Process.memory_info))
        return resident * 1e-9

    def _ask(self, question: Callable[[psutil.Process], Any]) -> list[Any]:
        # Looking for descendants reads the whole process table; reading their figures is cheap.
        answers = []
        try:
            if time.monotonic_ns() - self._looked_ns > LOOK_PERIOD_NS:
                found = set(self._process.children(recursive=True))
                # One that has ended has no command any more, so it is remembered.
                self._recorders = {p for p in found if p in self._recorders or _is_recorder(p)}
                self._members = [self._process, *(found - self._recorders)]
                self._looked_ns = time.monotonic_ns()
            answers.append(question(self._process))
        except psutil.Error as failure:
            raise SensorError(f"{type(failure).__name__}: the run's process is gone") from None
        for process in self._members[1:]:
            try:
                answers.append(question(process))
            except psutil.Error:
                continue
        return answers


def _is_recorder(process: psutil.Process) -> bool:
    try:
        return RECORDER in process.cmdline()
    except psutil.Error:
        return False


_BUSY = ("user", "nice", "system", "irq", "softirq")


class HostObserver:
    """Watches this machine's CPUs.

    Args:
        process_id: The run's process; what it and its descendants use is not counted, nor is what
            this process does.

    Raises:
        psutil.NoSuchProcess: There is no such process.
    """

    def __init__(self, process_id: int) -> None:
        self.device = f"host:{platform.node()}"
        self._family = ProcessTree(process_id)
        self._began_s = self._others_s()
        self._known_s = 0.0

    def settings(self) -> dict[str, Any]:
        """How many CPUs there are."""
        return {"cpus": psutil.cpu_count()}

    def state(self) -> dict[str, Any]:
        """CPU time of everything but the run and this process, in s since this was made."""
        with contextlib.suppress(SensorError, OSError):  # of a run that is gone, what was known
            self._known_s = round(self._others_s() - self._began_s, 2)
        return {"other_cpu_s": self._known_s}

    def _others_s(self) -> float:
        times = psutil.cpu_times()
        busy_s = sum(getattr(times, name, 0.0) for name in _BUSY)
        own_s: float = self._family.cpu_time_s() + time.process_time()
        return float(busy_s) - own_s
