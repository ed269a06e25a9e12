"""A baseline: instant power 50 times a second, and the trapezoid rule."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import Any

import pynvml

from benchmarks.energy_error.waves import Load

PERIOD_S = 0.02


def measure(load: Load) -> dict[str, Any]:
    """Power integrated from the first to the last reading in the window."""
    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    over = threading.Event()
    read: list[tuple[float, float]] = []

    def read_once() -> None:
        (field,) = pynvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_POWER_INSTANT])
        read.append((time.monotonic(), field.value.uiVal / 1000))

    def poll() -> None:
        while not over.wait(PERIOD_S):
            read_once()

    thread = threading.Thread(target=poll)
    load.settle()
    read_once()
    thread.start()
    load.work()
    over.set()
    thread.join()
    read_once()
    energy_j = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(read))
    return {"energy_j": energy_j}
