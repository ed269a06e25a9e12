"""Examines sensors: update period, cost of a reading, loss caused by reading, averaging window.

Sensors are read closely for a few seconds, then left alone, and the two compared. The averaging
window of a power sensor follows from how its updates answer a load of known timing, which a process
of its own switches on and off on this machine's GPUs.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.energy.integration.update_period import sharp_updates, update_period_s
from harness.energy.recorder.read_schedule import CLOSE_NS
from harness.energy.sensors.base import Meter, Sensor, SensorError

CLOSELY_S = 3.0
"""How long sensors are read every 2 ms: an averaging window of a second, and as much to fit."""
ALONE_S = 2.0
"""How long counters are left alone after they were read closely, for comparison."""


@dataclass(frozen=True)
class Examined:
    """What was found out about one sensor.

    Attributes:
        sensor: As it introduces itself.
        reading_s: How long one reading takes.
        update_s: Time between two updates as measured; None if it never changed often enough.
        window_s: Time it averages over as measured under a load; None without a load.
        loss: Share of its energy that a counter loses when read every 2 ms; None for others.
        failure: Why it gave no reading.
        shown: Its last reading.
    """

    sensor: Sensor
    reading_s: float | None = None
    update_s: float | None = None
    window_s: float | None = None
    loss: float | None = None
    failure: str | None = None
    shown: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` prints it: what was measured, and None where that was not possible."""
        known = self.sensor.to_json()
        named = ("device", "name", "kind", "quantity", "part", "source", "note")
        return {
            **{name: known[name] for name in named},
            "relative_uncertainty": self.sensor.relative_uncertainty,
            "reading_s": self.reading_s,
            "update_s": self.update_s,
            "window_s": self.window_s,
            "observer_loss": self.loss,
            "failure": self.failure,
        }


@dataclass
class _Heard:
    """Readings of one sensor."""

    time_ns: list[int]
    value: list[float]
    cost_ns: list[int]
    failure: str | None = None
    read_ns: int = 0


def examine(
    meters: Sequence[Meter], switches_ns: Callable[[], Sequence[int]] = lambda: ()
) -> list[Examined]:
    """Read sensors closely for a while, then leave them alone, and compare.

    Args:
        meters: Of the sensors to examine.
        switches_ns: Says when a load was switched on, off, on, ... meanwhile.
    """
    heard = [_Heard([], [], []) for _ in meters]
    for meter, each in zip(meters, heard, strict=True):
        _read(meter, each)
    pairs = zip(meters, heard, strict=True)
    measuring = [(meter, each) for meter, each in pairs if not meter.sensor.is_estimate]
    # Of a meter that is polled nothing is found out by reading it closely.
    watches = any(not meter.sensor.poll_s for meter, _ in measuring)
    ends = time.monotonic() + (CLOSELY_S if watches else 0)
    while time.monotonic() < ends:
        begun_ns = time.monotonic_ns()
        for meter, each in measuring:
            if begun_ns - each.read_ns >= meter.sensor.poll_s * 1e9:
                _read(meter, each)
        time.sleep(max(begun_ns + CLOSE_NS - time.monotonic_ns(), 0) * 1e-9)
    time.sleep(ALONE_S if watches else 0)
    switches = switches_ns()
    return [_examined(m, each, switches) for m, each in zip(meters, heard, strict=True)]


def _read(meter: Meter, heard: _Heard) -> None:
    before_ns = heard.read_ns = time.monotonic_ns()
    try:
        value = meter.read()
    except SensorError as failure:
        heard.failure = str(failure)
        return
    after_ns = time.monotonic_ns()
    heard.time_ns.append((before_ns + after_ns) // 2)
    heard.value.append(value)
    heard.cost_ns.append(after_ns - before_ns)


def _examined(meter: Meter, heard: _Heard, switches_ns: Sequence[int]) -> Examined:
    if not heard.value:
        return Examined(meter.sensor, failure=heard.failure)
    time_ns, value = np.array(heard.time_ns), np.array(heard.value)
    is_counter = meter.sensor.quantity == "energy"
    return Examined(
        sensor=meter.sensor,
        reading_s=float(np.median(heard.cost_ns)) * 1e-9,
        update_s=None if meter.sensor.poll_s else update_period_s(time_ns, value),
        window_s=None
        if is_counter or meter.sensor.poll_s
        else averaging_window_s(time_ns, value, switches_ns),
        loss=_loss(meter, heard) if is_counter and not meter.sensor.poll_s else None,
        failure=heard.failure,
        shown=heard.value[-1],
    )


def _loss(meter: Meter, heard: _Heard) -> float | None:
    """How much less a counter showed while it was read closely than while it was left alone."""
    time_ns, value = np.array(heard.time_ns), np.array(heard.value)
    updates = sharp_updates(time_ns, value)
    if len(updates.first) < 2:
        return None
    first, last = updates.first[[0, -1]]
    closely_w = (value[last] - value[first]) / np.ptp(updates.time_ns)
    _read(meter, heard)
    alone_w = (heard.value[-1] - value[last]) / (heard.time_ns[-1] - updates.time_ns[-1])
    return float(1 - closely_w / alone_w) if alone_w > 0 else None


Floats = NDArray[np.float64]

CANDIDATES_S = (0.0, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Windows that sensors are known to average over, and some around them."""
_LAGS_S = (0.0, 0.01, 0.02, 0.03, 0.05)
"""How late an update may come after the time it averages."""
_CLEARLY = 0.9
"""A window whose readings explain at least this share of the variance is believed."""
_MIN_UPDATES = 8


def averaging_window_s(
    time_ns: NDArray[np.int64], power_w: Floats, switches_ns: Sequence[int]
) -> float | None:
    """The window that explains a power sensor's updates best.

    While the load is switched on and off, an update shows the share of its window in which the load
    was on: the right window is the one for which power is a straight line over that share.

    Args:
        time_ns: Moments of readings a few milliseconds apart, rising.
        power_w: The readings.
        switches_ns: When the load went on, off, on, ...; rising.

    Returns:
        Seconds; None if the readings do not follow the load, or there are too few.
    """
    updates = sharp_updates(time_ns, power_w)
    switches_s: Floats = np.array([moment * 1e-9 for moment in switches_ns])
    at_s: Floats = updates.time_ns.astype(np.float64) * 1e-9
    # What was drawn before the first switch is not known.
    known = at_s > (switches_s[0] + max(CANDIDATES_S) if len(switches_s) > 1 else np.inf)
    if known.sum() < _MIN_UPDATES:
        return None
    at_s, shown_w = at_s[known], power_w[updates.first][known]
    on_s = _time_on(switches_s)
    explained = {
        window_s: max(_explained(on_s, at_s - lag_s, window_s, shown_w) for lag_s in _LAGS_S)
        for window_s in CANDIDATES_S
    }
    best = max(explained, key=lambda window_s: explained[window_s])
    return best if explained[best] >= _CLEARLY else None


def _time_on(switches_s: Floats) -> tuple[Floats, Floats]:
    """Knots of the time that the load has been on, as a function of time."""
    on_s = np.zeros(len(switches_s))
    lengths = np.diff(switches_s)
    lengths[1::2] = 0
    on_s[1:] = np.cumsum(lengths)
    return switches_s, on_s


def _explained(on: tuple[Floats, Floats], end_s: Floats, window_s: float, shown_w: Floats) -> float:
    """Share of the variance of `shown_w` that the load's share of each window explains."""
    width_s = max(window_s, 1e-6)
    share = (np.interp(end_s, *on) - np.interp(end_s - width_s, *on)) / width_s
    if np.std(share) == 0 or np.std(shown_w) == 0:
        return 0.0
    return float(np.corrcoef(share, shown_w)[0, 1] ** 2)


LOADER = "harness.training.gpu_load"
"""Switches the load; it imports torch, which this room does not."""


@dataclass
class SwitchedLoad:
    """The switches of the load so far.

    Attributes:
        note: Why there is no load, if it was wanted.
        switched_ns: When the load went on, off, on, ... (monotonic clock).
    """

    note: str | None = None
    switched_ns: list[int] = field(default_factory=list)

    def switches_ns(self) -> list[int]:
        """When the load was switched, on first."""
        return list(self.switched_ns)


@contextmanager
def switched_load(*, wanted: bool) -> Iterator[SwitchedLoad]:
    """Switch a load on and off while the context lasts, if `wanted`."""
    load = SwitchedLoad()
    if not wanted:
        yield load
        return
    with subprocess.Popen(
        [sys.executable, "-m", LOADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as loader:
        ready = loader.stdout.readline().strip() if loader.stdout else ""
        if ready != "ready":
            load.note = f"no load: {ready or 'torch cannot use a GPU here'}"
        follower = threading.Thread(target=_follow, args=(loader, load), daemon=True)
        follower.start()
        try:
            yield load
        finally:
            if loader.stdin:
                loader.stdin.close()
            follower.join()


def _follow(loader: subprocess.Popen[str], load: SwitchedLoad) -> None:
    for line in loader.stdout or ():
        load.switched_ns.append(int(line))
