"""A baseline: the counter, read once before and once after."""

from __future__ import annotations

from typing import Any

import pynvml

from benchmarks.energy_error.waves import Load


def measure(load: Load) -> dict[str, Any]:
    """The difference of two readings."""
    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    load.settle()
    before_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    load.work()
    return {"energy_j": (pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) - before_mj) / 1000}
