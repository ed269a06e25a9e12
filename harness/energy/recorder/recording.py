"""What the recorder does, from getting to know the sensors to the last reading.

It knows no process, pipe or clock: `Signals` is time and what is heard meanwhile, so that tests run
days of it in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.energy.curves.rhythm import sharp_updates, update_period_s
from harness.energy.meter import Meter, Observer, SensorError
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
    ) -> None:
        self._meters = meters
        self._observers = observers
        self._trace = trace
        self._signals = signals
        self._period_ns = period_ns
        self._paces: dict[int, Pace] = {}
        self._states: dict[str, dict[str, Any]] = {}
        self._next_state_ns = 0

    def get_to_know(self, idle_ns: int) -> None:
        """Find the counters' rhythms, and measure idle power; an estimate needs neither."""
        measured = [n for n, m in enumerate(self._meters) if m.sensor.source != "estimated"]
        counters = [n for n in measured if _is_slow_counter(self._meters[n])]
        for observer in self._observers:
            settings = {"settings": observer.settings(), "device": observer.device}
            self._trace.tell(settings)
        self._observe()
        heard = self._read_closely([n for n in measured if _has_rhythm(self._meters[n])])
        self._trace.tell(
            {"rhythm": {str(n): s for n, each in heard.items() if (s := _period_s(each))}}
        )
        self._set_paces({})
        start_ns = self._signals.now_ns()
        if measured:
            ends_ns = start_ns + max(idle_ns, SELDOM_AT_LEAST_NS if counters else 0)
            while self._signals.now_ns() < ends_ns and not self._signals.stopped:
                self._step(ends_ns)
        end_ns = self._read_all()
        if measured and idle_ns:
            self._trace.tell({"idle": [start_ns, end_ns]})
        self._set_paces({n: pace for n in counters if (pace := self._rhythm(n, heard[n]))})

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
            elif _is_slow_counter(meter):
                self._paces[number] = EvenPace(FALSIFIED_PERIOD_NS)
            elif sensor.part != "device" or sensor.window_s > sensor.update_s:
                self._paces[number] = EvenPace(max(SELDOM_NS, self._period_ns))
            elif sensor.quantity == "power" and sensor.device not in counted:
                period_ns = min(self._period_ns, POWER_ALONE_PERIOD_NS)
                fresh = sensor.source == "estimated"
                self._paces[number] = EvenPace(self._period_ns if fresh else period_ns)
            else:
                at_borders = sensor.quantity == "energy"
                self._paces[number] = EvenPace(self._period_ns, at_borders=at_borders)

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
        if self._signals.wait(due_ns):
            now_ns = self._signals.now_ns()
            for pace in self._paces.values():
                pace.border(now_ns)
        now_ns = self._signals.now_ns()
        for number, pace in self._paces.items():
            if pace.next_ns <= now_ns:
                time_ns, _, moved = self._sample(number)
                pace.read(time_ns, moved=moved)
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
        except SensorError as failure:
            error = str(failure)
        time_ns = (before_ns + self._signals.now_ns()) // 2
        return time_ns, value, self._trace.reading(number, time_ns, value, error)

    def _observe(self) -> None:
        now_ns = self._signals.now_ns()
        self._next_state_ns = now_ns + STATE_PERIOD_NS
        for observer in self._observers:
            state = observer.state()
            if state != self._states.get(observer.device):
                self._trace.tell({"state": state, "device": observer.device, "time_ns": now_ns})
                self._states[observer.device] = state


def _period_s(heard: list[tuple[int, float]]) -> float | None:
    time_ns = np.array([time for time, _ in heard], dtype=np.int64)
    return update_period_s(time_ns, np.array([value for _, value in heard]))


def _has_rhythm(meter: Meter) -> bool:
    """Whether a sensor is worth reading closely: not what is averaged, nor a part of a device."""
    sensor = meter.sensor
    is_shape = sensor.part == "device" and sensor.window_s <= sensor.update_s
    return sensor.update_s >= COUNTER_FROM_S and is_shape


def _is_slow_counter(meter: Meter) -> bool:
    return meter.sensor.quantity == "energy" and meter.sensor.update_s >= COUNTER_FROM_S
