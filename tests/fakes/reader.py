"""What tests of the stand-in read, through pynvml in this process, at a virtual time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pynvml

from tests.fakes.stand_in import StandIn

MS = 1_000_000
SECOND = 1000 * MS
NOW = 50 * SECOND

Make = Callable[..., StandIn]


def handle(index: int = 0):
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def counter_j(index: int = 0) -> float:
    return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle(index)) / 1000


def usage_w(index: int = 0) -> float:
    return pynvml.nvmlDeviceGetPowerUsage(handle(index)) / 1000


def field(field_id: int, scope: int = 0):
    [value] = pynvml.nvmlDeviceGetFieldValues(handle(), [(field_id, scope)])
    return value


def instant_w() -> float:
    return field(pynvml.NVML_FI_DEV_POWER_INSTANT).value.uiVal / 1000


def wild(machine: StandIn, seed: int = 1) -> None:
    """A power without any period, for a minute from NOW on."""
    random = np.random.default_rng(seed)
    moments_ns = NOW + np.cumsum(random.integers(1, 400 * MS, size=300))
    for moment_ns in moments_ns:
        machine.gpus[0].draw(float(random.uniform(40, 400)), int(moment_ns))
