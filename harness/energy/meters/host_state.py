"""How busy the machine is beside the run: CPU time of everything else."""

from __future__ import annotations

import contextlib
import platform
import time
from typing import Any

import psutil

from harness.energy.meter import SensorError
from harness.energy.meters.family import Family

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
        self._family = Family(process_id)
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
