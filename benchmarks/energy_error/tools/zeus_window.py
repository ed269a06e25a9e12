"""Zeus's ZeusMonitor: the counter where there is one."""

from __future__ import annotations

from typing import Any

from zeus.monitor import ZeusMonitor

from benchmarks.energy_error.waves import Load


def measure(load: Load) -> dict[str, Any]:
    """The energy of its window."""
    monitor = ZeusMonitor(gpu_indices=[0], cpu_indices=[])
    load.settle()
    monitor.begin_window("work", sync_execution=False)
    load.work()
    found = monitor.end_window("work", sync_execution=False)
    return {"energy_j": sum(found.gpu_energy.values())}
