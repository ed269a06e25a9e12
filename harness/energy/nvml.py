"""NVIDIA GPUs through NVML: the total energy counter where there is one, and power beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pynvml

from harness.energy.meter import Found, Meter, MeterSetup, Sample, Sensor

GAIN_UNCERTAINTY = 0.05
"""Gain error of a board's power sensor, about 5 %, fixed for a board (arXiv 2312.02741)."""


@dataclass
class NvmlMeter:
    """One quantity of one GPU: `read` returns an integer in mJ or mW."""

    sensor: Sensor
    read: Callable[[], int]

    def sample(self) -> Sample:
        """Read once; an NVML error becomes a sample without a value."""
        before = time.monotonic_ns()
        try:
            value, error = self.read() / 1000, None
        except pynvml.NVMLError as failure:
            value, error = None, str(failure)
        return Sample((before + time.monotonic_ns()) // 2, value, error)


def find(setup: MeterSetup) -> Found:
    """The meters of the GPUs that `setup` names, by UUID."""
    try:
        pynvml.nvmlInit()
        uuids = _all_uuids() if setup.gpus is None else setup.gpus
        meters = [meter for uuid in uuids for meter in _meters_of(uuid)]
    except pynvml.NVMLError as failure:
        return Found([], f"nvml: {failure}")
    return Found(meters, None if meters else "nvml: the run uses no GPU that NVML can read")


def _all_uuids() -> list[str]:
    handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
    return [_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]


def _meters_of(uuid: str) -> list[Meter]:
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    readers: dict[str, Callable[[Any], int]] = {
        "energy": pynvml.nvmlDeviceGetTotalEnergyConsumption,
        "power": pynvml.nvmlDeviceGetPowerUsage,
    }
    return [
        NvmlMeter(_sensor(uuid, handle, quantity), partial(read, handle))
        for quantity, read in readers.items()
        if _works(read, handle)
    ]


def _works(read: Callable[[Any], int], handle: Any) -> bool:
    try:
        read(handle)
    except pynvml.NVMLError_NotSupported:
        return False
    return True


def _sensor(uuid: str, handle: Any, quantity: Any) -> Sensor:
    driver = _text(pynvml.nvmlSystemGetDriverVersion())
    real = driver.replace(".", "").isdigit()
    measured = "counter" if quantity == "energy" else "sampled"
    return Sensor(
        device=uuid,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        kind="gpu",
        quantity=quantity,
        source=measured if real else "simulated",  # type: ignore[arg-type]
        relative_uncertainty=GAIN_UNCERTAINTY,
        resolution_j=0.001 if quantity == "energy" else 0.0,
        note=f"NVML {quantity} reading, driver {driver}",
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
