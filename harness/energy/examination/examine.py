"""Getting to know sensors: how often they are updated, what reading costs, whether it disturbs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.energy.curves.rhythm import sharp_updates, update_period_s
from harness.energy.examination.response import averaging_window_s
from harness.energy.meter import Meter, Sensor, SensorError
from harness.energy.recorder.pace import CLOSE_NS

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
        window_s: Time it averages over as measured under a load; None if there was none to follow.
        loss: Share of its energy that a counter loses when read every 2 ms; None for others.
        failure: Why it gave no reading.
    """

    sensor: Sensor
    reading_s: float | None = None
    update_s: float | None = None
    window_s: float | None = None
    loss: float | None = None
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` gives it: what was measured, and None where that was not possible."""
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
    measuring = [(meter, each) for meter, each in pairs if meter.sensor.source != "estimated"]
    ends = time.monotonic() + (CLOSELY_S if measuring else 0)
    while time.monotonic() < ends:
        begun_ns = time.monotonic_ns()
        for meter, each in measuring:
            _read(meter, each)
        time.sleep(max(begun_ns + CLOSE_NS - time.monotonic_ns(), 0) * 1e-9)
    time.sleep(ALONE_S if measuring else 0)
    switches = switches_ns()
    return [_examined(m, each, switches) for m, each in zip(meters, heard, strict=True)]


def _read(meter: Meter, heard: _Heard) -> None:
    before_ns = time.monotonic_ns()
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
        update_s=update_period_s(time_ns, value),
        window_s=None if is_counter else averaging_window_s(time_ns, value, switches_ns),
        loss=_loss(meter, heard) if is_counter else None,
        failure=heard.failure,
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
