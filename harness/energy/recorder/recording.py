"""What the recorder does, from getting to know the sensors to the last reading.

It knows no process, pipe or clock: `Signals` is time and what is heard meanwhile, so that tests run
days of it in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from harness.energy.curves.rhythm import sharp_updates, update_period_s
from harness.energy.meter import Meter, Observer, Sensor, SensorError
from harness.energy.recorder.busy_stream import BusyStream
from harness.energy.recorder.idle import LONGEST_NS, LOOK_NS, at_idle_clocks
from harness.energy.recorder.neighbours import Neighbours, named
from harness.energy.recorder.pace import CLOSE_NS, SELDOM_NS, CounterPace, EvenPace, Pace
from harness.energy.recorder.signals import Signals
from harness.energy.recorder.trace_writer import TraceWriter

GETTING_TO_KNOW_NS = 500_000_000
"""How long counters are read closely before a run, to find their rhythm."""
SELDOM_AT_LEAST_NS = 1_000_000_000
"""How long they are left alone then, to see whether reading closely falsified them."""
FALSIFIED_BELOW = 0.7
"""Read closely, a counter that shows less than this share of what it shows else loses energy."""
FALSIFIED_PERIOD_NS = 10 * SELDOM_NS
READ_ON_NS = 350_000_000
"""Three updates of the slowest counter known: by then it shows what was drawn up to the end."""
STATE_PERIOD_NS = 5_000_000_000
POWER_ALONE_PERIOD_NS = 20_000_000
"""Time between readings of a power sensor that has to do without a counter."""
SUSPENDED_NS = 100_000_000
"""A machine that was away for less was only slow."""
CLOCK_STEP_NS = 1_000_000_000
"""A wall clock that moved by more against the monotonic one was set, not steered."""
COUNTER_FROM_S = 0.01
"""A counter updated faster than this is read like a fresh figure: its updates need no watching."""


class Recording:
    """Reads every meter into a trace until it is told to stop."""

    def __init__(
        self,
        meters: Sequence[Meter],
        observers: Sequence[Observer],
        trace: TraceWriter,
        signals: Signals,
        period_ns: int,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._meters = meters
        self._observers = observers
        self._trace = trace
        self._signals = signals
        self._period_ns = period_ns
        self._paces: dict[int, Pace] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._next_state_ns = 0
        self._neighbours = neighbours
        self._busy = BusyStream(observers, trace)
        self._looked_ns = signals.now_ns()
        self._clocks = signals.clocks()

    def get_to_know(self, idle_ns: int) -> None:
        """Find the counters' rhythms, and measure idle power; an estimate needs neither."""
        measured = [n for n, m in enumerate(self._meters) if m.sensor.source != "estimated"]
        counters = [n for n in measured if is_slow_counter(self._meters[n].sensor)]
        for observer in self._observers:
            try:
                settings = observer.settings()
            except Exception:  # noqa: BLE001 - what cannot be read is left out
                settings = {}
            self._trace.tell({"settings": settings, "device": observer.device})
        self._observe()
        heard = self._read_closely([n for n in measured if _has_rhythm(self._meters[n])])
        self._trace.tell(
            {"rhythm": {str(n): s for n, each in heard.items() if (s := _period_s(each))}}
        )
        self._set_paces({})
        at_idle = self._wait_for_idle_clocks() if measured and idle_ns else None
        start_ns = self._signals.now_ns()
        if measured:
            ends_ns = start_ns + max(idle_ns, SELDOM_AT_LEAST_NS if counters else 0)
            while self._signals.now_ns() < ends_ns and not self._signals.stopped:
                self._step(ends_ns)
        end_ns = self._read_all()
        if measured and idle_ns:
            self._trace.tell({"idle": [start_ns, end_ns], "at_idle_clocks": at_idle})
        self._set_paces({n: pace for n in counters if (pace := self._rhythm(n, heard[n]))})

    def _wait_for_idle_clocks(self) -> bool | None:
        """Wait for the cards to slow down after the warm-up, for a while; whether they did."""
        ends_ns = self._signals.now_ns() + LONGEST_NS
        while (at_idle := at_idle_clocks(self._observers)) is False:
            now_ns = self._signals.now_ns()
            if now_ns >= ends_ns or self._signals.stopped:
                break
            look_ns = min(now_ns + LOOK_NS, ends_ns)
            while self._signals.now_ns() < look_ns and not self._signals.stopped:
                self._step(look_ns)
        return at_idle

    def read(self) -> None:
        """Read at every sensor's pace until told to stop, then until counters have caught up."""
        while not self._signals.stopped:
            self._step(None)
        end_ns = self._read_all()
        if any(meter.sensor.source != "estimated" for meter in self._meters):
            for pace in self._paces.values():
                pace.border(end_ns)
            while self._signals.now_ns() < end_ns + READ_ON_NS:
                self._step(end_ns + READ_ON_NS)
        self._observe()
        self._read_all()
        self._trace.release()
        self._trace.tell({"end": self._signals.now_ns()}, durable=True)

    def _set_paces(self, counters: dict[int, CounterPace]) -> None:
        counted = {self._meters[n].sensor.device for n in counters}
        for number, meter in enumerate(self._meters):
            sensor = meter.sensor
            if number in counters:
                self._paces[number] = counters[number]
            else:
                at_borders = sensor.quantity == "energy" and not is_slow_counter(sensor)
                period_ns = reading_period_ns(sensor, self._period_ns, counted)
                self._paces[number] = EvenPace(period_ns, at_borders=at_borders)

    def _read_closely(self, numbers: list[int]) -> dict[int, list[tuple[int, float]]]:
        """Read sensors every 2 ms for a while; moments and values."""
        heard: dict[int, list[tuple[int, float]]] = {number: [] for number in numbers}
        if not numbers:
            return heard
        ends_ns = self._signals.now_ns() + GETTING_TO_KNOW_NS
        while (now_ns := self._signals.now_ns()) < ends_ns and not self._signals.stopped:
            for number in numbers:
                time_ns, value, _ = self._sample(number)
                if value is not None:
                    heard[number].append((time_ns, value))
            self._signals.wait(now_ns + CLOSE_NS)
        return heard

    def _rhythm(self, number: int, heard: list[tuple[int, float]]) -> CounterPace | None:
        """The pace for a counter; None if it has no rhythm, or loses energy when read closely."""
        period_s = _period_s(heard)
        if period_s is None:
            return None
        time_ns = np.array([time for time, _ in heard], dtype=np.int64)
        value = np.array([value for _, value in heard])
        updates = sharp_updates(time_ns, value)
        first, last = updates.first[0], updates.first[-1]
        closely_w = (value[last] - value[first]) / (updates.time_ns[-1] - updates.time_ns[0])
        now_ns, now_j, _ = self._sample(number)
        if now_j is None:
            return None
        seldom_w = (now_j - value[last]) / max(now_ns - updates.time_ns[-1], 1)
        if closely_w < FALSIFIED_BELOW * seldom_w:
            loss = 1 - closely_w / seldom_w
            self._trace.tell({"falsified": number, "loss": round(float(loss), 3)})
            return None
        update_ns = round(period_s * 1e9)
        steps = (now_ns - int(updates.time_ns[-1])) // update_ns
        return CounterPace(update_ns, int(updates.time_ns[-1]) + steps * update_ns)

    def _step(self, ends_ns: int | None) -> None:
        """Wait for what is due next, but no longer than to `ends_ns`, and read it."""
        due_ns = min((pace.next_ns for pace in self._paces.values()), default=self._next_state_ns)
        due_ns = min(due_ns, self._next_state_ns or due_ns, ends_ns or due_ns)
        due_ns = min(due_ns, self._busy.next_ns or due_ns)
        if self._signals.wait(due_ns):
            now_ns = self._signals.now_ns()
            for pace in self._paces.values():
                pace.border(now_ns)
        now_ns = self._signals.now_ns()
        for number, pace in self._paces.items():
            if pace.next_ns <= now_ns:
                time_ns, _, moved = self._sample(number)
                pace.read(time_ns, moved=moved)
        self._busy.look(now_ns)
        if now_ns >= self._next_state_ns:
            self._observe()

    def _read_all(self) -> int:
        for number in range(len(self._meters)):
            self._sample(number)
        return self._signals.now_ns()

    def _sample(self, number: int) -> tuple[int, float | None, bool]:
        before_ns = self._signals.now_ns()
        value, error = None, None
        try:
            value = self._meters[number].read()
            if not math.isfinite(value):
                value, error = None, f"the sensor said {value}"
        except SensorError as failure:
            error = str(failure)
        except Exception as failure:  # noqa: BLE001 - whatever a sensor does, recording goes on
            error = f"{type(failure).__name__}: {failure}"
        time_ns = (before_ns + self._signals.now_ns()) // 2
        return time_ns, value, self._trace.reading(number, time_ns, value, error)

    def _observe(self) -> None:
        now_ns = self._signals.now_ns()
        self._next_state_ns = now_ns + STATE_PERIOD_NS
        self._watch_clocks(now_ns)
        for device, state in self._look().items():
            if state != self._states.get(device):
                self._trace.tell({"state": state, "device": device, "time_ns": now_ns})
                self._states[device] = state

    def _look(self) -> dict[str, dict[str, Any]]:
        """By device, its state, and who else uses it."""
        states = {}
        for observer in self._observers:
            try:
                states[observer.device] = observer.state()
            except Exception:  # noqa: BLE001 - what cannot be read is left out
                states[observer.device] = {}
        others = self._neighbours.foreign(states) if self._neighbours else {}
        for device, processes in others.items():
            if processes:
                states[device]["foreign"] = named(processes)
        return states

    def _watch_clocks(self, now_ns: int) -> None:
        """Tell when the machine was suspended, or its wall clock set, since the last look."""
        before, self._clocks = self._clocks, self._signals.clocks()
        away_ns = self._clocks.away_ns - before.away_ns
        step_ns = self._clocks.wall_ns - before.wall_ns - away_ns
        if away_ns > SUSPENDED_NS:
            self._trace.tell({"suspended_s": away_ns * 1e-9, "between": [self._looked_ns, now_ns]})
            for number in range(len(self._meters)):
                # A failed reading: what lies around it is not what was drawn in between.
                self._trace.reading(number, now_ns, None, "the machine was suspended")
        if abs(step_ns) > CLOCK_STEP_NS:
            self._trace.tell({"clock_step_s": step_ns * 1e-9, "between": [self._looked_ns, now_ns]})
        self._looked_ns = now_ns


def _period_s(heard: list[tuple[int, float]]) -> float | None:
    time_ns = np.array([time for time, _ in heard], dtype=np.int64)
    return update_period_s(time_ns, np.array([value for _, value in heard]))


def _has_rhythm(meter: Meter) -> bool:
    """Whether a sensor is worth reading closely: not what is averaged, nor a part of a device."""
    sensor = meter.sensor
    is_shape = sensor.part == "device" and sensor.window_s <= sensor.update_s
    return sensor.update_s >= COUNTER_FROM_S and is_shape


def is_slow_counter(sensor: Sensor) -> bool:
    """Whether a sensor is an energy counter whose updates must be watched for."""
    return sensor.quantity == "energy" and sensor.update_s >= COUNTER_FROM_S


def reading_period_ns(sensor: Sensor, period_ns: int, counted: Collection[str]) -> int:
    """Time between two readings of a sensor that is read evenly.

    Args:
        sensor: The sensor.
        period_ns: What was asked for.
        counted: Devices whose energy a counter gives.
    """
    if is_slow_counter(sensor):
        return FALSIFIED_PERIOD_NS
    if sensor.part != "device" or sensor.window_s > sensor.update_s:
        return max(SELDOM_NS, period_ns)
    alone = sensor.quantity == "power" and sensor.device not in counted
    if alone and sensor.source != "estimated":
        return min(period_ns, POWER_ALONE_PERIOD_NS)
    return period_ns
