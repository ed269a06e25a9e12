"""How sensors and devices behaved during a recording, derived from its trace alone."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from harness.energy.cpu_time import OtherWork
from harness.energy.integration.counter import leapt, stood_still
from harness.energy.integration.curve import Joules
from harness.energy.integration.sampled_power import plausible
from harness.energy.integration.windows import (
    EnergyCurve,
    best_readings,
    contradicted,
    curves,
    power_of,
    threads_in_use,
    total,
)
from harness.energy.sensors.base import listed
from harness.energy.trace import Readings, Trace

DISAGREEMENT = 0.1
"""Counter and power that differ by more get a flag: twice a sensor's gain error."""
BUSY = 0.1
"""Other work on more of the CPUs than this gets a flag."""
MAX_DOUBT = 0.2
"""A window that a polled meter knows less well gets a flag; gaps have one of their own."""
LONG_ENOUGH_S = 5.0
"""Over a shorter time than this the difference of counter and power says little."""


class Health:
    """What casts doubt on a measurement between two moments, and the conditions it was made under.

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
        """Idle power before the run, in W, by measured device; also of the whole machine beside.

        It is left out where what is not known of it is as large: a slow meter needs more time.
        """
        if self._trace.idle_ns is None:
            return {}
        start_ns, end_ns = self._trace.idle_ns
        return {
            curve.sensor.device: drawn.energy_j / ((end_ns - start_ns) * 1e-9)
            for owner in ("run", "machine")
            for curve in curves(self._trace, (start_ns, end_ns), owner)
            if not curve.sensor.is_estimate
            and (drawn := curve.between(start_ns, end_ns)).coverage > 0
            and drawn.without_gain_j < drawn.energy_j
        }

    @property
    def idle_energy_j(self) -> float | None:
        """What the run's measured devices would have drawn at idle power in the same time."""
        seconds = (self._end_ns - self._start_ns) * 1e-9
        own = {each.sensor.device for each in best_readings(self._trace)}
        idle_w = [power_w for device, power_w in self.idle.items() if device in own]
        return sum(idle_w) * seconds if idle_w else None

    @cached_property
    def disagreement(self) -> float | None:
        """Integrated power over what the counters say, less one; None without both."""
        counted: list[Joules] = []
        sampled: list[Joules] = []
        for counter in self._counters():
            power = power_of(self._trace, counter.sensor.device)
            if power is not None:
                borders = (self._start_ns, self._end_ns)
                by_counter, by_power = (
                    EnergyCurve(each, None, borders, self._trace.period_s).between(*borders)
                    for each in (counter, power)
                )
                if by_counter.without_gain_j <= DISAGREEMENT * by_counter.energy_j:
                    counted.append(by_counter)
                    sampled.append(by_power)
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
        """Share of the time in which a device was throttled; None if that was not recorded."""
        return max(self._shares("throttling").values(), default=None)

    @cached_property
    def background_cpu(self) -> float | None:
        """Share of the machine's CPUs that other work than the run's kept busy; None if unknown."""
        others = OtherWork(self._trace)
        cpus = next((each["cpus"] for each in self.settings.values() if "cpus" in each), None)
        seconds = (self._end_ns - self._start_ns) * 1e-9
        if not (cpus and others.is_known and seconds > 0):
            return None
        return others.between(self._start_ns, self._end_ns) / (seconds * int(cpus))

    @cached_property
    def threads_in_use(self) -> float | None:
        """CPU time of the run's processes over wall time; None where it was not recorded."""
        found = threads_in_use(self._trace, [self._start_ns], [self._end_ns])
        return found[0] if found else None

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """By device, its limits and modes as they were found."""
        return {e["device"]: e["settings"] for e in self._trace.events if "settings" in e}

    @cached_property
    def flags(self) -> list[str]:
        """What casts doubt on the measurement, one short phrase each; empty is good."""
        found = [*self._sensor_flags(), *self._recorder_flags(), *self._neighbour_flags()]
        if self.throttled_share:
            found.append(f"throttled for {self.throttled_share:.0%} of the time")
        if (self.background_cpu or 0) > BUSY:
            found.append(f"other work kept {self.background_cpu:.0%} of the CPUs busy")
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
            elif number in self._trace.irregular and len(readings.value) > 1:
                found.append(
                    f"{name}: update period unknown, so energy at window edges is less certain"
                )
            if number in self._contradicted:
                found.append(
                    f"{name}: shows {self._contradicted[number]:.3g} x what its power does "
                    "(another unit?), so it is not used"
                )
            if readings.failures:
                why = f" ({', '.join(sorted(readings.why))})" if readings.why else ""
                found.append(f"{name}: readings failed{why}")
            if number in self._blind:
                share = f"{sensor.window_s / sensor.update_s:.0%}"
                seen = share if sensor.window_s else "an unknown part"
                found.append(
                    f"{name}: the sensor sees only {seen} of the time; the uncertainty does not "
                    "cover a load in step with it"
                )
            if number in self._unresolved:
                found.append(
                    f"{name}: too short a time for this meter, known to "
                    f"{self._unresolved[number]:.0%} only"
                )
            if len(readings.value) and not sensor.is_estimate:
                found += [f"{name}: {word}" for word in _breaks(readings)]
        return found

    def _recorder_flags(self) -> list[str]:
        """What happened to the recorder, and to the machine under it."""
        found = []
        restarts = sum("continues" in each for each in self._trace.events)
        if restarts:
            found.append(f"the recorder died and was restarted ({restarts} x)")
        away_s = math.fsum(each.get("suspended_s", 0.0) for each in self._trace.events)
        if away_s:
            found.append(f"the machine was suspended for {away_s:.0f} s")
        absent_ns = sum(to_ns - from_ns for from_ns, to_ns in self._trace.absent_ns)
        if absent_ns:
            found.append(f"the recorder was stopped for {absent_ns * 1e-9:.0f} s")
        steps = [each["clock_step_s"] for each in self._trace.events if "clock_step_s" in each]
        found += [f"the wall clock was set by {step_s:+.0f} s" for step_s in steps]
        return found

    def _neighbour_flags(self) -> list[str]:
        """Other processes that used the devices, before the run or during it."""
        found, shares = [], self._shares("foreign")
        found += [
            f"{each.sensor.name} counts the whole machine, which others used meanwhile"
            for each in self._trace.readings
            if each.sensor.is_of_machine and each.sensor.owner == "host"
        ]
        for device in dict.fromkeys([*self._conditions(), *shares]):
            before = self._conditions().get(device, {}).get("foreign", [])
            names = {str(pid): "" for pid in before or []}
            for each in self._trace.events:
                if each.get("device") == device:
                    names |= each.get("state", {}).get("foreign", {})
            if names:
                share = shares.get(device, 0.0)
                during = f", for {share:.0%} of the time" if share else ""
                found.append(f"other processes on {device} ({listed(names)}{during})")
            if before is None:
                found.append(f"cannot determine whether other processes use {device}")
        return found

    def _shares(self, what: str) -> dict[str, float]:
        """By device, the share of the time in which `what` of its state was not empty."""
        states: dict[str, list[dict[str, Any]]] = {}
        for each in self._trace.events:
            if "state" in each and "other_cpu_s" not in each["state"]:
                states.setdefault(each["device"], []).append(each)
        shares = {}
        for device, own in states.items():
            ends = [each["time_ns"] for each in own[1:]] + [self._end_ns]
            lasted_ns = sum(
                max(min(end, self._end_ns) - max(each["time_ns"], self._start_ns), 0)
                for each, end in zip(own, ends, strict=True)
                if each["state"].get(what)
            )
            shares[device] = lasted_ns / max(self._end_ns - self._start_ns, 1)
        return shares

    @cached_property
    def _blind(self) -> set[int]:
        """Numbers of the sensors that make up the energy and do not look all of the time."""
        used = {each.sensor for each in best_readings(self._trace)}
        return {
            number
            for number, readings in enumerate(self._trace.readings)
            if readings.sensor in used
            and readings.sensor.quantity == "power"
            and readings.sensor.window_s < readings.sensor.update_s
        }

    @cached_property
    def _unresolved(self) -> dict[int, float]:
        """Numbers of polled meters to which the window is too short, and how well it is known."""
        borders = (self._start_ns, self._end_ns)
        found: dict[int, float] = {}
        if not any(each.sensor.poll_s for each in self._trace.readings):
            return found
        for owner in ("run", "machine"):
            for curve in curves(self._trace, borders, owner):
                joules = curve.between(*borders)
                doubt_j = joules.border_j + joules.aliasing_j
                if curve.sensor.poll_s and doubt_j > MAX_DOUBT * joules.energy_j > 0:
                    number = [each.sensor for each in self._trace.readings].index(curve.sensor)
                    found[number] = doubt_j / joules.energy_j
        return found

    @cached_property
    def _contradicted(self) -> dict[int, float]:
        return contradicted(self._trace)

    def _counters(self) -> list[Readings]:
        return [
            readings
            for number, readings in enumerate(self._trace.readings)
            if readings.sensor.quantity == "energy"
            and not readings.sensor.is_estimate
            and number not in self._trace.falsified
            and number not in self._contradicted
            and len(readings.value) > 1
        ]

    def _conditions(self) -> dict[str, dict[str, Any]]:
        found = [each["conditions"] for each in self._trace.events if "conditions" in each]
        conditions: dict[str, dict[str, Any]] = found[-1] if found else {}
        return conditions


def _breaks(readings: Readings) -> list[str]:
    """Why a sensor cannot be trusted throughout, one phrase each."""
    if readings.sensor.quantity == "power":
        absurd = np.count_nonzero(~plausible(readings))
        return [f"{absurd} absurd values left out"] if absurd else []
    words = []
    if (np.diff(readings.value) < 0).any():
        words.append("set back")
    if stood_still(readings):
        words.append("stood still")
    elif leapt(readings):  # one that stood still leaps when it resumes
        words.append("leapt by more than it can draw")
    return words
