"""The energy of anything between two moments: a recorder around it, and what it found."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.energy.curves.curve import Joules
from harness.energy.health import Health
from harness.energy.recorder.forks import prepare_for_forks
from harness.energy.trace import Trace, read_trace
from harness.energy.windows import curves, total

if TYPE_CHECKING:
    from harness.energy.meter import MeterSetup
    from harness.energy.recorder.process import RecorderProcess
    from harness.settings import EnergySettings

WATCH_PERIOD_S = 0.5
"""Time between two looks at whether the recorder lives."""


@dataclass(frozen=True)
class DeviceEnergy:
    """What one device drew.

    Attributes:
        id: The device's stable id.
        name: For people.
        kind: "gpu", "cpu", "dram", or "module": a GPU with its CPU and memory.
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
        self._owner = os.getpid()
        self._pipe: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._is_stopped = False
        self._watcher: threading.Thread | None = None
        self.result: Measured | None = None
        self.recorded = Trace()

    def __enter__(self) -> Measurement:
        """Start the recorder, and wait until idle power is measured."""
        from harness.energy.recorder.process import RecorderProcess

        prepare_for_forks(self)
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        try:
            self._recorder: RecorderProcess = RecorderProcess(
                self._trace, self._settings, self._setup, self._pipe[0]
            )
        except BaseException:
            self._close_pipe()
            raise
        self._watch()
        return self

    def open_window(self) -> None:
        """Begin to count."""
        self._start_ns = self.mark()

    def close_window(self) -> None:
        """Stop counting."""
        self._end_ns = self.mark()

    def __exit__(self, *_: object) -> None:
        """Stop the recorder and work out what it found; nothing in a process forked meanwhile."""
        if os.getpid() != self._owner:
            return
        if not self._end_ns:
            self.close_window()
        self._is_stopped = True
        self.before_fork()
        self._recorder.stop()
        self._close_pipe()
        self._watcher = None
        self.recorded = read_trace(self._trace)
        self.result = measured(self.recorded, self._start_ns, self._end_ns)

    def mark(self) -> int:
        """Announce a border, where a window begins or ends; its moment on the monotonic clock."""
        now_ns = time.monotonic_ns()
        with self._lock:  # the number of a pipe that was closed may be another file's by now
            # The recorder is gone or overwhelmed: coverage will show it.
            if self._pipe:
                with contextlib.suppress(BrokenPipeError, BlockingIOError):
                    os.write(self._pipe[1], b"|")
        return now_ns

    @property
    def recorder_process_id(self) -> int:
        """The process that records."""
        return self._recorder.process_id

    def before_fork(self) -> None:
        """End the thread that watches the recorder: a process without threads forks safely."""
        self._over.set()
        if self._watcher is not None:
            self._watcher.join()

    def after_fork(self, *, in_child: bool) -> None:
        """Watch the recorder again; the child leaves it and its pipe to this process."""
        if in_child:
            self._lock = threading.Lock()  # another thread may have held the one that was copied
            self._watcher = None
            self._close_pipe()
        elif self._watcher is not None and not self._watcher.is_alive():
            self._watch()

    def _watch(self) -> None:
        """Start another recorder wherever this one dies, as long as the measurement lasts."""
        self._over.clear()
        if self._is_stopped:  # while another thread forked
            return

        def watch() -> None:
            while not self._over.wait(WATCH_PERIOD_S) and not self._is_stopped:
                self._recorder.revive()

        self._watcher = threading.Thread(target=watch, name="energy recorder's watch", daemon=True)
        self._watcher.start()

    def _close_pipe(self) -> None:
        with self._lock:
            if self._pipe:
                for end in self._pipe:
                    os.close(end)
            self._pipe = None
