"""Calibrates the estimate of a CPU's power: idle, then 1, 2, 3, 4, 6 ... and all threads busy.

What a meter shows above idle at each number of busy threads becomes the `PowerCurve` of this
machine, stored in the user's configuration folder under the machine's name. The estimate then uses
it wherever no sensor measures (`harness.energy.sensors.estimate`).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.energy.cpu_time import OtherWork
from harness.energy.integration.windows import curves
from harness.energy.measurement import Measurement
from harness.energy.sensors.base import EnergyKind, MeterSetup, Sensor, kind_of_source
from harness.energy.sensors.estimate import calibration_file, identity
from harness.energy.sensors.power_curve import PowerCurve, residual_of
from harness.energy.trace import Trace
from harness.errors import MeasurementError
from harness.settings.catalogue import METERS
from harness.settings.settings import EnergySettings
from harness.utils.atomic_write import write_atomically

SETTLE_S = 2.0
"""Time for clocks and fans after the load has changed, before a level is measured."""
LEVEL_S = 10.0
"""Length of a level with a meter that shows power at once."""
LONG_LEVEL_S = 60.0
"""Where levels last longer, only powers of two are measured."""
MAX_LEVEL_S = 600.0
RESOLVED, LEAST_LOAD_W = 0.05, 5.0
"""A level is long enough for the meter's step to be this share of what one thread of a small
machine draws."""
UPDATES = 10
"""A level lasts for at least this many updates of the meter."""

Load = Callable[[int], AbstractContextManager[None]]
"""Keeps a number of threads busy while its context lasts."""


@dataclass(frozen=True)
class Level:
    """What was drawn with a number of busy threads.

    Attributes:
        threads: How many were busy.
        power_w: Mean power of what the meter measures, idle power included.
        uncertainty_w: Its uncertainty (95 %) without the meter's gain.
    """

    threads: int
    power_w: float
    uncertainty_w: float


@dataclass(frozen=True)
class Calibration:
    """A calibration of this machine's CPU.

    Attributes:
        curve: Watts above idle by busy threads.
        idle: Without load.
        levels: With load.
        other_work: Share of the CPUs that other work kept busy meanwhile.
    """

    curve: PowerCurve
    idle: Level
    levels: tuple[Level, ...]
    other_work: float

    def store(self) -> Path:
        """Write the curve where the estimate looks for it; returns the file.

        Raises:
            OSError: It cannot be written.
        """
        path = calibration_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            **identity(),
            "idle_w": self.idle.power_w,
            "other_work": self.other_work,
            "curve": vars(self.curve),
        }
        write_atomically(path, json.dumps(content, indent=2).encode() + b"\n")
        return path


def numbers_of_threads(threads: int, *, fine: bool = True) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12 ... up to all threads of a machine, half of them among these.

    Args:
        threads: How many there are.
        fine: Also those half-way between powers of two.
    """
    steps = {
        2**n * factor // 2 for n in range(threads.bit_length()) for factor in (2, 3)[: 1 + fine]
    }
    return sorted({each for each in steps if each < threads} | {max(threads // 2, 1), threads})


def calibrate(
    threads: int,
    load: Load | None = None,
    *,
    level_s: float | None = None,
    settle_s: float | None = None,
    plugs: tuple[str, ...] = (),
    controllers: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure idle power, then the power with 1, 2, 3, 4, 6 ... and all threads busy.

    Args:
        threads: How many hardware threads there are.
        load: Keeps threads busy; None for matrix products, a process per thread.
        level_s: How long each level is measured; None as long as the meter needs.
        settle_s: How long to wait before each; None for `SETTLE_S`, or the level's own length if
            that is shorter.
        plugs: Addresses of smart plugs that feed the machine.
        controllers: Addresses of its management controllers.
        progress: Shows what is measured now.

    Raises:
        MeasurementError: No meter here measures the CPU or the machine, or it did not see the load.
    """
    load = load or busy
    kinds = tuple(kind for kind in METERS if kind not in ("estimate", "nvml"))
    settings = EnergySettings(meters=kinds, idle_s=0.0, plugs=plugs, controllers=controllers)
    setup = MeterSetup(os.getpid(), (), 0.0, "")
    windows: list[tuple[int, int, int]] = []
    with tempfile.TemporaryDirectory(prefix="energy-harness-") as folder:
        trace = Path(folder) / "trace.jsonl"
        with Measurement(trace, settings, setup) as running:
            sensors = _meters(running.sensors())
            length_s = level_s or max(map(_level_s, sensors))
            settling_s = min(SETTLE_S, length_s) if settle_s is None else settle_s
            numbers = numbers_of_threads(threads, fine=length_s <= LONG_LEVEL_S)
            for number in (0, *numbers):
                progress(f"{number or 'no'} busy threads, for {settling_s + length_s:.0f} s ...")
                with load(number):
                    time.sleep(settling_s)
                    start_ns = running.mark()
                    time.sleep(length_s)
                    windows.append((number, start_ns, running.mark()))
            running.open_window()
        return calibration_of(running.recorded, windows)


def calibration_of(trace: Trace, windows: list[tuple[int, int, int]]) -> Calibration:
    """The calibration that a trace shows.

    Args:
        trace: What was recorded.
        windows: Busy threads, start and end on the monotonic clock, of each level; the first has
            none.

    Raises:
        MeasurementError: No meter measured it, or it did not see the load.
    """
    sensors = _meters([readings.sensor for readings in trace.readings])
    devices = {sensor.device for sensor in sensors}
    idle, *levels = [_level(trace, devices, *window) for window in windows]
    power_w = tuple(level.power_w - idle.power_w for level in levels)
    name = " + ".join(dict.fromkeys(sensor.name for sensor in sensors))
    for level, above_w in zip(levels, power_w, strict=True):
        blur_w = math.hypot(level.uncertainty_w, idle.uncertainty_w)
        if not above_w > blur_w:
            raise MeasurementError(
                f"{name} does not show that {level.threads} busy threads draw more than none "
                f"({above_w:.3g} ± {blur_w:.3g} W): nothing was stored; a longer --level-s may help"
            )
    shares = [
        math.hypot(level.uncertainty_w, idle.uncertainty_w) / above_w
        for level, above_w in zip(levels, power_w, strict=True)
    ]
    threads = tuple(level.threads for level in levels)
    curve = PowerCurve(
        threads,
        power_w,
        residual=math.hypot(residual_of(threads, power_w), max(shares)),
        gain=max(sensor.relative_uncertainty for sensor in sensors),
        meter=name,
        date=datetime.now(UTC).date().isoformat(),
        is_simulated=any(sensor.source == "simulated" for sensor in sensors),
    )
    return Calibration(curve, idle, tuple(levels), _other_work(trace, windows))


def _meters(sensors: list[Sensor]) -> list[Sensor]:
    """The sensors to calibrate by: all processors' counters, else one of the whole machine."""
    known = [
        each
        for each in sensors
        if kind_of_source(each.source) is not EnergyKind.ESTIMATED and each.part == "device"
    ]
    found = [each for each in known if each.kind == "cpu"]
    found = found or [each for each in known if each.kind == "machine"][:1]
    if not found:
        raise MeasurementError(
            "no meter here measures the processors or the whole machine, so that there is nothing "
            "to calibrate by: `doctor` says what is missing"
        )
    return found


def _level_s(sensor: Sensor) -> float:
    """How long a level must be for a meter to tell it."""
    refresh_s = max(sensor.update_s, sensor.window_s, sensor.poll_s)
    steps_s = sensor.resolution_j / (RESOLVED * LEAST_LOAD_W)
    return min(max(LEVEL_S, UPDATES * refresh_s, steps_s), MAX_LEVEL_S)


def _level(trace: Trace, devices: set[str], threads: int, start_ns: int, end_ns: int) -> Level:
    owners = dict.fromkeys(readings.sensor.owner for readings in trace.readings)
    drawn = [
        curve.between(start_ns, end_ns)
        for owner in owners
        for curve in curves(trace, (start_ns, end_ns), owner)
        if curve.sensor.device in devices
    ]
    seconds = (end_ns - start_ns) * 1e-9
    if len(drawn) < len(devices) or not all(joules.coverage > 0 for joules in drawn):
        raise MeasurementError("the meter gave no readings, so that nothing was calibrated")
    return Level(
        threads,
        math.fsum(joules.energy_j for joules in drawn) / seconds,
        math.fsum(joules.without_gain_j for joules in drawn) / seconds,
    )


def _other_work(trace: Trace, windows: list[tuple[int, int, int]]) -> float:
    others = OtherWork(trace)
    seconds = (windows[-1][2] - windows[0][1]) * 1e-9
    return others.between(windows[0][1], windows[-1][2]) / (seconds * (os.cpu_count() or 1))


_BUSY = """
import os
import numpy as np
a = np.full((512, 512), 0.5, dtype=np.float32)
a @ a
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    a @ a
"""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def busy(threads: int) -> Iterator[None]:
    """Keep a number of threads busy with matrix products, each in a process of its own."""
    env = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
    command = [sys.executable, "-c", _BUSY]
    processes = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(threads)]
    try:
        for process in processes:
            if process.stdout is not None:
                process.stdout.readline()  # it is at work
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()
