"""The energy of windows, as a trace shows it: what reports and measurements read.

`measured` gives the energy of one window by device, `by_window` that of windows by their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.energy.health import Health
from harness.energy.integration.curve import Joules
from harness.energy.integration.windows import curves, total
from harness.energy.missed import Missed, missed
from harness.energy.sensors.base import EnergyKind, Owner, kind_of_source
from harness.energy.trace import Trace


@dataclass(frozen=True)
class WindowEnergy:
    """The energy of all windows of one name.

    Attributes:
        duration_s: Of all together.
        joules: Of all together.
        each: One by one, in the order in which they ended.
    """

    duration_s: float
    joules: Joules
    each: tuple[Joules, ...]


def by_window(trace: Trace, windows: Sequence[tuple[str, int, int]]) -> dict[str, WindowEnergy]:
    """The energy of named windows, in the order in which the names first come.

    Args:
        trace: What was recorded.
        windows: Name, start and end on the monotonic clock. They may overlap.
    """
    starts_ns = [start_ns for _, start_ns, _ in windows]
    ends_ns = [end_ns for _, _, end_ns in windows]
    devices = [curve.windows(starts_ns, ends_ns) for curve in curves(trace, {*starts_ns, *ends_ns})]
    drawn = [*map(total, zip(*devices, strict=True))] or [total([])] * len(windows)
    found: dict[str, list[int]] = {}
    for place, (name, _, _) in enumerate(windows):
        found.setdefault(name, []).append(place)
    return {
        name: WindowEnergy(
            duration_s=sum((ends_ns[place] - starts_ns[place]) * 1e-9 for place in places),
            joules=total(drawn[place] for place in places),
            each=tuple(drawn[place] for place in places),
        )
        for name, places in found.items()
    }


@dataclass(frozen=True)
class DeviceEnergy:
    """The energy of one device.

    Attributes:
        id: The device's stable id.
        name: For people.
        kind: "gpu", "cpu", "dram", "module": a GPU with its CPU and memory, or "machine".
        source: "counter", "sampled", "estimated" or "simulated".
        joules: With all parts of the uncertainty.
        mean_power_w: Over the window.
        idle_energy_j: Idle power before the window times its duration; None if not measured.
    """

    id: str
    name: str
    kind: str
    source: str
    joules: Joules
    mean_power_w: float
    idle_energy_j: float | None

    def to_json(self) -> dict[str, Any]:
        """As `measure --json` prints it."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "source": self.source,
            **joules_json(self.joules),
            "mean_power_w": self.mean_power_w,
            "idle_energy_j": self.idle_energy_j,
        }


@dataclass(frozen=True)
class Measured:
    """The energy of one window.

    Attributes:
        duration_s: Its length.
        joules: All devices together; without any device, nothing is known of it.
        devices: One each.
        beside: What was read beside them and is not in the sum: the whole machine of its parts, or
            the parts of the whole machine.
        notes: Why sensors are missing.
        flags: What casts doubt on the figure.
    """

    duration_s: float
    joules: Joules
    devices: tuple[DeviceEnergy, ...]
    notes: tuple[str, ...]
    flags: tuple[str, ...]
    beside: tuple[DeviceEnergy, ...] = ()

    @property
    def missed(self) -> Missed | None:
        """What the machine's measured parts miss of it, where both were read."""
        return missed(
            (each.kind, kind_of_source(each.source) is EnergyKind.ESTIMATED, each.joules)
            for each in (*self.devices, *self.beside)
        )


def measured(trace: Trace, start_ns: int, end_ns: int) -> Measured:
    """What a trace says of the window between two moments of the monotonic clock."""
    health = Health(trace, start_ns, end_ns)
    devices = _devices(trace, start_ns, end_ns, health, "run")
    beside = [
        *_devices(trace, start_ns, end_ns, health, "machine"),
        *_devices(trace, start_ns, end_ns, health, "part"),
    ]
    return Measured(
        duration_s=(end_ns - start_ns) * 1e-9,
        joules=total(device.joules for device in devices),
        devices=tuple(devices),
        notes=trace.notes,
        flags=tuple(health.flags),
        beside=tuple(beside),
    )


def _devices(
    trace: Trace, start_ns: int, end_ns: int, health: Health, owner: Owner
) -> list[DeviceEnergy]:
    duration_s = (end_ns - start_ns) * 1e-9
    devices = []
    for curve in curves(trace, (start_ns, end_ns), owner):
        joules, sensor = curve.between(start_ns, end_ns), curve.sensor
        idle_w = health.idle.get(sensor.device)
        devices.append(
            DeviceEnergy(
                id=sensor.device,
                name=sensor.name,
                kind=sensor.kind,
                source=sensor.source,
                joules=joules,
                mean_power_w=joules.energy_j / duration_s if duration_s else math.nan,
                idle_energy_j=None if idle_w is None else idle_w * duration_s,
            )
        )
    return devices


def joules_json(joules: Joules) -> dict[str, Any]:
    """Energy, uncertainty with its parts, and coverage."""
    return {
        "energy_j": joules.energy_j,
        "uncertainty_j": joules.uncertainty_j,
        "uncertainty_without_gain_j": joules.without_gain_j,
        "uncertainty_parts_j": {
            "gain": joules.gain_j,
            "border": joules.border_j,
            "gap": joules.gap_j,
            "aliasing": joules.aliasing_j,
        },
        "coverage": joules.coverage,
    }
