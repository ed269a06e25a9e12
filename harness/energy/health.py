"""How sensors and devices behaved during a recording. Derived from its trace by pure functions."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from harness.energy.curves.counter import stood_still
from harness.energy.curves.curve import Joules
from harness.energy.trace import Readings, Trace
from harness.energy.windows import EnergyCurve, curves, power_of, total

DISAGREEMENT = 0.1
"""Counter and power that differ by more are worth a word: twice a sensor's gain error."""
LONG_ENOUGH_S = 5.0
"""Over a shorter time than this their difference says little."""


class Health:
    """What a reader must know of the measurement between two moments.

    Args:
        trace: What was recorded.
        start_ns: Where the window begins, on the monotonic clock.
        end_ns: Where it ends.
    """

    def __init__(self, trace: Trace, start_ns: int, end_ns: int) -> None:
        self._trace = trace
        self._start_ns = start_ns
        self._end_ns = end_ns

    @cached_property
    def idle(self) -> dict[str, float]:
        """Idle power before the run, in W, by measured device."""
        if self._trace.idle_ns is None:
            return {}
        start_ns, end_ns = self._trace.idle_ns
        return {
            curve.sensor.device: drawn.energy_j / ((end_ns - start_ns) * 1e-9)
            for curve in curves(self._trace, (start_ns, end_ns))
            if curve.sensor.source != "estimated"
            and (drawn := curve.between(start_ns, end_ns)).coverage > 0
        }

    @property
    def idle_energy_j(self) -> float | None:
        """What the measured devices would have drawn at idle power in the same time."""
        seconds = (self._end_ns - self._start_ns) * 1e-9
        return sum(self.idle.values()) * seconds if self.idle else None

    @cached_property
    def disagreement(self) -> float | None:
        """Integrated power over what the counters say, less one; None without both."""
        counted: list[Joules] = []
        sampled: list[Joules] = []
        for counter in self._counters():
            power = power_of(self._trace, counter.sensor.device)
            if power is not None:
                borders = (self._start_ns, self._end_ns)
                for found, readings in ((counted, counter), (sampled, power)):
                    curve = EnergyCurve(readings, None, borders, self._trace.period_s)
                    found.append(curve.between(*borders))
        counted_j = total(counted).energy_j
        return total(sampled).energy_j / counted_j - 1 if counted_j > 0 else None

    @property
    def start_temperature_c(self) -> float | None:
        """Of the warmest device, just before the run."""
        found = [each["temperature_c"] for each in self._conditions().values()]
        known: list[float] = [each for each in found if each is not None]
        return max(known, default=None)

    @cached_property
    def throttled_share(self) -> float | None:
        """Share of the time in which a device was throttled; None if nobody looked."""
        states = [each for each in self._trace.told if "state" in each]
        if not states:
            return None
        shares: list[float] = []
        for device in {each["device"] for each in states}:
            own = [each for each in states if each["device"] == device]
            ends = [each["time_ns"] for each in own[1:]] + [self._end_ns]
            throttled_ns = sum(
                max(min(end, self._end_ns) - max(each["time_ns"], self._start_ns), 0)
                for each, end in zip(own, ends, strict=True)
                if each["state"].get("throttling")
            )
            shares.append(throttled_ns / max(self._end_ns - self._start_ns, 1))
        return max(shares)

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """By device, its limits and modes as they were found."""
        return {e["device"]: e["settings"] for e in self._trace.told if "settings" in e}

    @cached_property
    def flags(self) -> list[str]:
        """What casts doubt on the measurement, a short phrase each; empty is good."""
        found = [*self._sensor_flags()]
        for device, condition in self._conditions().items():
            if condition["foreign"]:
                pids = ", ".join(map(str, condition["foreign"]))
                found.append(f"other processes on {device} (PID {pids})")
            if condition["foreign"] is None:
                found.append(f"whether other processes use {device} cannot be told")
        if self.throttled_share:
            found.append(f"throttled for {self.throttled_share:.0%} of the time")
        long_enough = (self._end_ns - self._start_ns) * 1e-9 > LONG_ENOUGH_S
        if long_enough and self.disagreement and abs(self.disagreement) > DISAGREEMENT:
            found.append(f"power and counter disagree by {self.disagreement:+.0%}")
        return found

    def _sensor_flags(self) -> list[str]:
        found = []
        for number, readings in enumerate(self._trace.readings):
            sensor = readings.sensor
            name = f"{sensor.quantity} of {sensor.device}"
            if number in self._trace.falsified:
                loss = self._trace.falsified[number]
                found.append(f"{name}: loses {loss:.0%} when read closely, so it is not used")
            if readings.failures:
                found.append(f"{name}: readings failed")
            if sensor.quantity == "energy" and sensor.source != "estimated" and len(readings.value):
                found += [f"{name}: {word}" for word in _breaks(readings)]
        return found

    def _counters(self) -> list[Readings]:
        return [
            readings
            for number, readings in enumerate(self._trace.readings)
            if readings.sensor.quantity == "energy"
            and readings.sensor.source != "estimated"
            and number not in self._trace.falsified
            and len(readings.value) > 1
        ]

    def _conditions(self) -> dict[str, dict[str, Any]]:
        told = [each["conditions"] for each in self._trace.told if "conditions" in each]
        conditions: dict[str, dict[str, Any]] = told[-1] if told else {}
        return conditions


def _breaks(readings: Readings) -> list[str]:
    """How the trust in a counter was broken."""
    words = []
    if (np.diff(readings.value) < 0).any():
        words.append("set back")
    if stood_still(readings):
        words.append("stood still")
    return words
