"""Reads AMD GPUs, Apple silicon and Jetson boards through the device layer of Zeus (an extra).

NVIDIA's GPUs are read by `nvml`, directly. Zeus (You et al., NSDI 2023) knows the others' own
libraries; where it is not installed, nothing is found and nothing reported.
"""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.energy.sensors.base import (
    MODULE,
    Found,
    Meter,
    MeterSetup,
    Quantity,
    Sensor,
    SensorError,
    Source,
)

GAIN_UNCERTAINTY = 0.05
"""Our judgement, as for NVIDIA's boards: nothing better is published for these."""
UPDATE_S = 0.1
"""A first guess: the recorder finds each sensor's own update period."""
SOC_FIELDS = {
    "total_energy_mj": "module",  # of a Jetson
    "cpu_energy_mj": "cpu",
    "gpu_energy_mj": "gpu",
    "cpu_total_mj": "cpu",
    "gpu_mj": "gpu",
    "dram_mj": "dram",
    "ane_mj": "npu",
}
"""From the parts of a chip that add up, as Zeus names them, to the kind of device."""
SIGNS = (Path("/dev/kfd"), Path("/etc/nv_tegra_release"))
"""What a machine with an AMD GPU or a Jetson board has."""
_WITHIN_TOTAL = frozenset(SOC_FIELDS) - {"total_energy_mj"}


@dataclass
class ZeusMeter:
    """One quantity of one device: `ask` returns mJ or mW.

    Without its `manager` the devices' library is shut down.
    """

    sensor: Sensor
    ask: Callable[[], float | None]
    manager: Any

    def read(self) -> float:
        """Read once, in J or W."""
        from zeus.device.exception import ZeusBaseGPUError, ZeusBaseSoCError

        try:
            value = self.ask()
        except (ZeusBaseGPUError, ZeusBaseSoCError) as failure:
            raise SensorError(f"{type(failure).__name__}: {failure}") from None
        if value is None:
            raise SensorError("the device gave no figure")
        return value / 1000


def find(setup: MeterSetup) -> Found:
    """The devices that Zeus knows and NVML does not: all of them, whichever the run uses."""
    del setup
    # Importing it takes a second and tens of megabytes that most machines would pay for nothing.
    if find_spec("zeus") is None or not (sys.platform == "darwin" or any(map(Path.exists, SIGNS))):
        return Found([])
    from zeus.device import get_gpus, get_soc
    from zeus.device.exception import ZeusBaseGPUError, ZeusBaseSoCError

    meters: list[Meter] = []
    notes = []
    try:
        gpus = get_gpus()
        meters += [] if type(gpus).__name__ == "NVIDIAGPUs" else gpu_meters(gpus)
    except ZeusBaseGPUError as failure:
        notes += [] if "No NVIDIA or AMD" in str(failure) else [f"zeus: {failure}"]
    try:
        meters += soc_meters(get_soc())
    except ZeusBaseSoCError as failure:
        notes.append(f"zeus: {failure}")
    return Found(meters, tuple(notes))


def gpu_meters(manager: Any) -> list[Meter]:
    """Energy, where the board counts it, and power of the GPUs that one of Zeus' managers has."""
    meters: list[Meter] = []
    for index, gpu in enumerate(manager.gpus):
        name, device = gpu.get_name(), f"gpu-{index}:{platform.node()}"
        if gpu.supports_get_total_energy_consumption():
            sensor = _sensor(device, name, "gpu", "energy", "counter")
            meters.append(ZeusMeter(sensor, gpu.get_total_energy_consumption, manager))
        sensor = _sensor(device, name, "gpu", "power", "sampled")
        meters.append(ZeusMeter(sensor, gpu.get_instant_power_usage, manager))
    return meters


def soc_meters(soc: Any) -> list[Meter]:
    """The parts of a system on a chip that add up to it."""
    offered = set(soc.get_available_metrics())
    parts = [name for name in SOC_FIELDS if name in offered]
    if "total_energy_mj" in parts:
        parts = [name for name in parts if name not in _WITHIN_TOTAL]
    return [
        ZeusMeter(
            _sensor(f"{name}:{platform.node()}", name, SOC_FIELDS[name], "energy", "counter"),
            _part_of(soc, name),
            soc,
        )
        for name in parts
    ]


def _part_of(soc: Any, name: str) -> Callable[[], float | None]:
    def ask() -> float | None:
        value: float | None = dataclasses.asdict(soc.get_total_energy_consumption())[name]
        return value

    return ask


def _sensor(device: str, name: str, kind: str, quantity: Quantity, source: Source) -> Sensor:
    module = f"; {MODULE}" if kind == "module" else ""
    return Sensor(
        device=device,
        name=name,
        kind=kind,
        quantity=quantity,
        source=source,
        relative_uncertainty=GAIN_UNCERTAINTY,
        resolution_j=0.001 if quantity == "energy" else 0.0,
        update_s=UPDATE_S,
        window_s=0.0,  # of power it is unknown: as if it looked for a moment only
        note=f"read through Zeus' device layer{module}",
    )
