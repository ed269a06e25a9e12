"""Zeus's PowerMonitor: power polled by a process of its own."""

from __future__ import annotations

import time
from typing import Any

from zeus.monitor import PowerMonitor

from benchmarks.energy_error.waves import Load

PERIOD_S = 0.1
"""By default it polls as fast as it can, which no user would want to pay for."""
MONITOR = PowerMonitor(gpu_indices=[0], update_period=PERIOD_S)
"""Begun before anybody measures: its three processes give up if they cannot start within 10 s."""


def measure(load: Load) -> dict[str, Any]:
    """The energy that it integrates between two moments."""
    load.settle()
    start = time.time()
    load.work()
    end = time.time()
    time.sleep(3 * PERIOD_S)
    found = MONITOR.get_energy(start, end)
    if not found:
        raise RuntimeError("no energy for this window")
    return {"energy_j": sum(found.values())}
