"""The energy of anything between two moments: a recorder around it, and what it found."""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.energy.curves.curve import Joules
from harness.energy.health import Health
from harness.energy.trace import Trace, read_trace
from harness.energy.windows import curves, total

if TYPE_CHECKING:
    from harness.energy.meter import MeterSetup
    from harness.energy.recorder.process import RecorderProcess
    from harness.settings import EnergySettings


@dataclass(frozen=True)
class DeviceEnergy:
    """What one device drew.

    Attributes:
        id: The device's stable id.
        name: For people.
        kind: "gpu", "cpu" or "dram".
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
        """As `measure --json` gives it."""
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
        notes: Why sensors are missing.
        flags: What casts doubt on the figure.
    """

    duration_s: float
    joules: Joules
    devices: tuple[DeviceEnergy, ...]
    notes: tuple[str, ...]
    flags: tuple[str, ...]


def measured(trace: Trace, start_ns: int, end_ns: int) -> Measured:
    """What a trace says of the window between two moments of the monotonic clock."""
    duration_s = (end_ns - start_ns) * 1e-9
    health = Health(trace, start_ns, end_ns)
    devices = []
    for curve in curves(trace, (start_ns, end_ns)):
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
    together = total(device.joules for device in devices)
    return Measured(duration_s, together, tuple(devices), trace.notes, tuple(health.flags))


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


class Measurement:
    """A recorder that runs around something, in a context: `with Measurement(...) as running`.

    The window opens with `open_window` and closes with `close_window`, or with the context. After
    the context `result` holds what was found, and `recorded` all that was read.

    Args:
        trace: Where the raw readings go.
        settings: Which sensors, and how often.
        setup: Whom they watch.
    """

    def __init__(self, trace: Path, settings: EnergySettings, setup: MeterSetup) -> None:
        self._trace = trace
        self._settings = settings
        self._setup = setup
        self._start_ns = 0
        self._end_ns = 0
        self.result: Measured | None = None
        self.recorded = Trace()

    def __enter__(self) -> Measurement:
        """Start the recorder, and wait until idle power is measured."""
        from harness.energy.recorder.process import RecorderProcess

        heard, self._announce = os.pipe()
        try:
            self._recorder: RecorderProcess = RecorderProcess(
                self._trace, self._settings, self._setup, heard
            )
        finally:
            os.close(heard)
        return self

    def open_window(self) -> None:
        """From now on it counts."""
        self._start_ns = self.mark()

    def close_window(self) -> None:
        """Up to now it counted."""
        self._end_ns = self.mark()

    def __exit__(self, *_: object) -> None:
        """Stop the recorder and work out what it found."""
        if not self._end_ns:
            self.close_window()
        self._recorder.stop()
        os.close(self._announce)
        self.recorded = read_trace(self._trace)
        self.result = measured(self.recorded, self._start_ns, self._end_ns)

    def mark(self) -> int:
        """Announce a border, where a window begins or ends; its moment on the monotonic clock."""
        now_ns = time.monotonic_ns()
        with contextlib.suppress(BrokenPipeError):  # the recorder is gone: coverage will tell
            os.write(self._announce, b"|")
        return now_ns
