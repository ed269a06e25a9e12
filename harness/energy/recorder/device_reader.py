"""Reads the sensors of one device: finds their rhythms first, then reads each at its pace.

It has no thread and no clock of its own: its work are `Steps`, which say when they are to resume.
So on a real machine every device has a thread, and tests run days of many devices in seconds.
Beside the readings it writes how busy a GPU is, and before idle power is measured it waits until a
GPU has gone to idle clocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from harness.energy.recorder.clock import Signals, Steps
from harness.energy.recorder.read_schedule import (
    CLOSE_NS,
    RHYTHM_PERIOD_NS,
    SLOW_NS,
    CounterPace,
    EvenPace,
    Pace,
    SearchPace,
)
from harness.energy.recorder.timeouts import NO_ANSWER, TIMEOUT_S
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors.base import (
    BUSY_PERIOD_NS,
    FRESH_S,
    Meter,
    Observer,
    Sensor,
    SensorError,
)

T = TypeVar("T")

MIN_LEARNING_NS = 500_000_000
"""How long counters are read closely before a run, at least, to find their rhythm."""
MAX_LEARNING_NS = 10_000_000_000
"""How long at most: a counter that has not moved three times by then, or twice in case it is slow,
has no rhythm."""
MIN_REST_NS = 1_000_000_000
"""How long they are left alone then, to see whether reading closely falsified them."""
FALSIFIED_BELOW = 0.7
"""A counter that shows less than this share of its usual power when read closely loses energy."""
FALSIFIED_PERIOD_NS = 10 * RHYTHM_PERIOD_NS
READ_ON_NS = 350_000_000
"""By then a usual counter shows what was drawn up to the end."""
STATE_PERIOD_NS = 5_000_000_000
POWER_ALONE_PERIOD_NS = 20_000_000
"""Time between readings of a power sensor on a device without a counter."""
_TIMEOUT_NS = round(TIMEOUT_S * 1e9)
_HELD_NS = 100_000_000
"""While a counter is watched other readings of its device wait, but no longer than this."""
_FAILING_NS = 1_000_000_000
"""A counter without a reading for this long is given up."""


@dataclass
class _Heard:
    """The readings of a sensor so far, and how often it moved."""

    time_ns: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    moves: int = 0


class DeviceReader:
    """Reads one device's sensors into the trace.

    Args:
        meters: The device's meters, by their numbers in the trace.
        observers: Its observers.
        trace: Where readings go.
        signals: Time.
        period_ns: Time between readings of power.

    Attributes:
        settings: Its settings, from its observers.
        state: When its state was last read, and the state.
        rhythm: By sensor, its update period in seconds, where that was found.
        falsified: By sensor, the share of energy that a counter loses when read closely.
        at_idle: Whether the card has slowed down for lack of work; None if that is unknown.
    """

    def __init__(
        self,
        meters: Mapping[int, Meter],
        observers: Sequence[Observer],
        trace: TraceWriter,
        signals: Signals,
        period_ns: int,
    ) -> None:
        self.meters = meters
        self.settings: dict[str, Any] = {}
        self.state: tuple[int, dict[str, Any]] = (0, {})
        self.rhythm: dict[int, float] = {}
        self.falsified: dict[int, float] = {}
        self.at_idle: bool | None = None
        self.is_done = True
        self._observers = observers
        self._busy = BusyStream(observers, trace)
        self._trace = trace
        self._signals = signals
        self._period_ns = period_ns
        self._asking_since_ns: int | None = None
        self._values: dict[int, float] = {}
        self._heard: dict[int, _Heard] = {}
        self._paces: dict[int, Pace] = {}
        self._state_due_ns = 0
        measured = [n for n, m in meters.items() if not m.sensor.is_estimate]
        self.measures = bool(measured)
        self.counters = [n for n in measured if meters[n].sensor.is_stepped_counter]
        self._rhythmic = [n for n in measured if _has_rhythm(meters[n].sensor)]
        if self._rhythmic or self.counters:
            # It brings NumPy, which must not be waited for between two readings.
            from harness.energy.integration import update_period  # noqa: F401
        # Until better ones are found, which a driver that hangs may prevent.
        self._set_paces({n: SearchPace(signals.now_ns()) for n in self.counters})

    @property
    def watches(self) -> bool:
        """Whether the device has an observer."""
        return bool(self._observers)

    def hangs(self, now_ns: int) -> bool:
        """Whether the driver has not answered for too long."""
        since_ns = self._asking_since_ns
        return since_ns is not None and now_ns - since_ns > _TIMEOUT_NS

    def lose(self, now_ns: int) -> None:
        """Record that nothing can be read while the driver hangs."""
        for number in self.meters:
            self._trace.reading(number, now_ns, None, NO_ANSWER)
        self._busy.lose(now_ns)

    def learn(self) -> Steps:
        """Find the sensors' rhythms: read them closely for as long as that takes."""
        self.is_done = False
        for observer in self._observers:
            self.settings |= self._patiently(observer.settings) or {}
        self._observe()
        self._heard = {number: _Heard() for number in self._rhythmic}
        started_ns = self._signals.now_ns()
        unknown = list(self._rhythmic)
        while unknown and not self._signals.stopped:
            now_ns = self._signals.now_ns()
            for number in unknown:
                self._listen(number)
            passed_ns = self._signals.now_ns() - started_ns
            if passed_ns >= MIN_LEARNING_NS:
                unknown = [n for n in unknown if not self._is_known(n, passed_ns)]
            if unknown:
                yield max(now_ns + CLOSE_NS, self._signals.now_ns() + 1)
        for number, heard in self._heard.items():
            found_s = _period_s(heard, self.meters[number].sensor)
            if found_s is not None:
                self.rhythm[number] = found_s
        self._set_paces({})
        self.is_done = True

    def slow_down(self) -> Steps:
        """Wait for the card to slow down after the warm-up, for a while."""
        self.is_done = False
        ends_ns = self._signals.now_ns() + MAX_WAIT_NS
        while True:
            self.at_idle = self._patiently(lambda: at_idle_clocks(self._observers))
            now_ns = self._signals.now_ns()
            if self.at_idle is not False or now_ns >= ends_ns or self._signals.stopped:
                break
            yield from self._read_until(min(now_ns + LOOK_NS, ends_ns))
        self.is_done = True

    def rest(self, least_ns: int) -> Steps:
        """Read rarely for this long, or until it shows whether reading closely falsified a counter.

        Then set the paces of the run.
        """
        self.is_done = False
        started_ns = self._signals.now_ns()
        slowest_ns = max((self.rhythm.get(n, 0.0) * 3e9 for n in self.counters), default=0.0)
        if self.counters:
            least_ns = max(least_ns, MIN_REST_NS, round(slowest_ns))
        yield from self._read_until(started_ns + least_ns)
        self.read_all()
        self._set_paces({n: self._counter_pace(n) for n in self.counters})
        self.is_done = True

    def read(self) -> Steps:
        """Read at every sensor's pace until asked to stop, then until counters have caught up."""
        self.is_done = False
        yield from self._read_until(None)
        self.read_all()
        if self.measures:
            end_ns = self._signals.now_ns()
            for pace in self._paces.values():
                pace.border(end_ns)
            most_ns = end_ns + max((p.read_on_ns for p in self._paces.values()), default=0)
            while (now_ns := self._signals.now_ns()) < end_ns + READ_ON_NS or (
                now_ns < most_ns and not all(p.is_settled for p in self._paces.values())
            ):
                yield self._due_ns(end_ns + READ_ON_NS)
                self._read_due()
        self._observe()
        self.read_all()
        self.is_done = True

    def read_all(self) -> None:
        """Read every sensor once."""
        for number in self.meters:
            self._sample(number)

    def _read_until(self, ends_ns: int | None) -> Steps:
        while not self._signals.stopped:
            now_ns = self._signals.now_ns()
            if ends_ns is not None and now_ns >= ends_ns:
                return
            is_border = yield self._due_ns(ends_ns)
            if is_border:
                now_ns = self._signals.now_ns()
                for pace in self._paces.values():
                    pace.border(now_ns)
            self._read_due()

    def _due_ns(self, ends_ns: int | None) -> int:
        """When something is to be read next, but no later than `ends_ns` if that is to come."""
        due = [self._wanted_ns(number) for number in self._paces]
        if self.watches:
            due.append(self._state_due_ns + self._held_ns())
        if self._busy.next_ns is not None:
            due.append(self._busy.next_ns + self._held_ns())
        soonest_ns = min(due, default=self._signals.now_ns() + RHYTHM_PERIOD_NS)
        if ends_ns is not None and ends_ns > self._signals.now_ns():
            soonest_ns = min(soonest_ns, ends_ns)
        return soonest_ns

    def _wanted_ns(self, number: int) -> int:
        """When a sensor is to be read next; others than a counter wait while one is watched."""
        held_ns = 0 if number in self.counters else self._held_ns()
        return self._paces[number].next_ns + held_ns

    def _held_ns(self) -> int:
        return _HELD_NS if any(self._paces[n].is_watching for n in self.counters) else 0

    def _read_due(self) -> None:
        for number in (*self.counters, *(n for n in self._paces if n not in self.counters)):
            if self._wanted_ns(number) <= self._signals.now_ns():
                began_ns, ended_ns, moved = self._sample(number)
                pace = self._paces[number]
                pace.read(began_ns, ended_ns, moved=moved)
                if isinstance(pace, SearchPace) and (found := pace.rhythm):
                    self._paces[number] = found
                    self._trace.event({"rhythm": {str(number): found.update_ns * 1e-9}})
        now_ns = self._signals.now_ns()
        if self._busy.next_ns is not None and self._busy.next_ns + self._held_ns() <= now_ns:
            self._patiently(lambda: self._busy.look(now_ns))
        if self.watches and self._state_due_ns + self._held_ns() <= self._signals.now_ns():
            self._observe()

    def _observe(self) -> None:
        now_ns = self._signals.now_ns()
        self._state_due_ns = now_ns + STATE_PERIOD_NS
        if self._observers:
            state: dict[str, Any] = {}
            for observer in self._observers:
                state |= self._patiently(observer.state) or {}
            self.state = now_ns, state

    def _patiently(self, question: Callable[[], T]) -> T | None:
        """The driver's answer, with the time of asking noted; None if it fails."""
        self._asking_since_ns = self._signals.now_ns()
        try:
            return question()
        except Exception:  # noqa: BLE001 - whatever a driver does: what cannot be read is left out
            return None
        finally:
            self._asking_since_ns = None

    def _sample(self, number: int) -> tuple[int, int, bool]:
        """Read a sensor: when that began and ended, and whether it showed something new."""
        value, error = None, None
        began_ns = self._asking_since_ns = self._signals.now_ns()
        try:
            value = self.meters[number].read()
            if not math.isfinite(value):
                value, error = None, f"the sensor returned {value}"
        except SensorError as failure:
            error = str(failure)
        except Exception as failure:  # noqa: BLE001 - whatever a sensor does, recording continues
            error = f"{type(failure).__name__}: {failure}"
        self._asking_since_ns = None
        ended_ns = self._signals.now_ns()
        if value is not None and ended_ns - began_ns > _TIMEOUT_NS:
            value, error = None, NO_ANSWER  # its moment is unknown
        moved = value is not None and value != self._values.get(number)
        if value is not None:
            self._values[number] = value
        time_ns = (began_ns + ended_ns) // 2
        if number in self.counters:
            # An update happened between the last reading without it and the first one with it.
            time_ns = ended_ns if moved else began_ns
        self._trace.reading(number, time_ns, value, error)
        return began_ns, ended_ns, moved

    def _listen(self, number: int) -> None:
        """Read a sensor while it is learnt."""
        began_ns, ended_ns, moved = self._sample(number)
        heard = self._heard[number]
        value = self._values.get(number)
        if value is not None:
            heard.time_ns.append(ended_ns if moved else began_ns)
            heard.value.append(value)
            heard.moves += moved and len(heard.value) > 1

    def _is_known(self, number: int, passed_ns: int) -> bool:
        """Whether a sensor shows its rhythm by now, or never will."""
        heard = self._heard[number]
        if number not in self.counters or passed_ns >= MAX_LEARNING_NS:
            return True
        if number not in self._values and passed_ns >= _FAILING_NS:
            return True
        # Watched without a pause, two updates of a slow counter are one period apart.
        return heard.moves >= (2 if passed_ns > 4 * MIN_LEARNING_NS else 3)

    def _set_paces(self, counters: Mapping[int, Pace]) -> None:
        # Power beside a counter that shows little by itself is read as if there were none.
        counted = {
            self.meters[n].sensor.device
            for n, pace in counters.items()
            if isinstance(pace, CounterPace) and pace.update_ns <= SLOW_NS
        }
        for number, meter in self.meters.items():
            sensor = meter.sensor
            if number in counters:
                self._paces[number] = counters[number]
            else:
                is_fresh = sensor.quantity == "energy" and not sensor.is_stepped_counter
                at_borders = is_fresh and not sensor.poll_s
                period_ns = reading_period_ns(sensor, self._period_ns, counted)
                self._paces[number] = EvenPace(period_ns, at_borders=at_borders)

    def _counter_pace(self, number: int) -> Pace:
        """The pace for a counter, by its rhythm and its loss when read closely."""
        heard, period_s = self._heard[number], self.rhythm.get(number)
        now_ns = self._signals.now_ns()
        now_j = self._values.get(number)
        if period_s is None or now_j is None:
            return SearchPace(now_ns)
        if period_s < FRESH_S:
            return EvenPace(self._period_ns, at_borders=True)
        import numpy as np

        from harness.energy.integration.update_period import sharp_updates

        time_ns, value = np.array(heard.time_ns, dtype=np.int64), np.array(heard.value)
        updates = sharp_updates(time_ns, value, period_s)
        if len(updates.time_ns) < 2:
            return SearchPace(now_ns)
        first, last = updates.first[0], updates.first[-1]
        last_ns = int(updates.time_ns[-1])
        steps = int((now_ns - last_ns) / (period_s * 1e9))
        closely_w = (value[last] - value[first]) / (last_ns - updates.time_ns[0])
        seldom_w = (now_j - value[last]) / max(steps * period_s * 1e9, 1)
        if closely_w < FALSIFIED_BELOW * seldom_w:
            self.falsified[number] = round(float(1 - closely_w / seldom_w), 3)
            return EvenPace(FALSIFIED_PERIOD_NS)
        return CounterPace(round(period_s * 1e9), last_ns + round(steps * period_s * 1e9))


def _period_s(heard: _Heard, sensor: Sensor) -> float | None:
    import numpy as np

    from harness.energy.integration.update_period import sharp_updates, update_period_s

    time_ns = np.array(heard.time_ns, dtype=np.int64)
    value = np.array(heard.value)
    found = update_period_s(time_ns, value)
    if found is None and heard.moves == 2 and sensor.is_stepped_counter:
        sharp_ns = sharp_updates(time_ns, value, math.inf).time_ns
        # A stall hides when one of them happened.
        return float(sharp_ns[1] - sharp_ns[0]) * 1e-9 if len(sharp_ns) == 2 else None
    return found


def _has_rhythm(sensor: Sensor) -> bool:
    """Whether a sensor is worth reading closely: not if it averages, or sees a part of a device."""
    if sensor.poll_s:
        return False
    is_shape = sensor.part == "device" and sensor.window_s <= sensor.update_s
    return sensor.update_s >= FRESH_S and (is_shape or sensor.is_stepped_counter)


def reading_period_ns(sensor: Sensor, period_ns: int, counted: Collection[str]) -> int:
    """Time between two readings of a sensor that is read evenly.

    Args:
        sensor: The sensor.
        period_ns: What was asked for.
        counted: Devices whose energy a counter gives.
    """
    if sensor.poll_s:
        return max(round(sensor.poll_s * 1e9), period_ns)
    if sensor.is_stepped_counter:
        return FALSIFIED_PERIOD_NS
    if sensor.part != "device" or sensor.window_s > sensor.update_s:
        return max(RHYTHM_PERIOD_NS, period_ns)
    alone = sensor.quantity == "power" and sensor.device not in counted
    if alone and not sensor.is_estimate:
        return min(period_ns, POWER_ALONE_PERIOD_NS)
    return period_ns


@runtime_checkable
class BusyObserver(Protocol):
    """An observer that reports how busy its device is."""

    @property
    def device(self) -> str:
        """As of `Observer`."""
        ...

    def busy_percent(self) -> float | None:
        """The share of its last sample period; None if it cannot be read."""
        ...


class BusyStream:
    """Records how busy GPUs are: an event when a figure has changed or cannot be read.

    Args:
        observers: Those that are a `BusyObserver` are asked.
        trace: Where events go.

    Attributes:
        next_ns: When to look next; None if there is nothing to look at.
    """

    def __init__(self, observers: Sequence[Observer], trace: TraceWriter) -> None:
        self._observers = [each for each in observers if isinstance(each, BusyObserver)]
        self._trace = trace
        self._known: dict[str, float | None] = {}
        self.next_ns: int | None = 0 if self._observers else None

    def look(self, now_ns: int) -> None:
        """Look, if it is time to."""
        if self.next_ns is None or now_ns < self.next_ns:
            return
        self.next_ns = now_ns + BUSY_PERIOD_NS
        for observer in self._observers:
            try:
                percent = observer.busy_percent()
            except Exception:  # noqa: BLE001 - whatever a driver does: it could not be read
                percent = None
            self._note(observer.device, percent, now_ns)

    def lose(self, now_ns: int) -> None:
        """Record that the driver does not answer: from now on nothing is known."""
        for device in list(self._known):
            self._note(device, None, now_ns)

    def _note(self, device: str, percent: float | None, now_ns: int) -> None:
        if percent != self._known.get(device):
            self._trace.event({"busy_percent": percent, "device": device, "time_ns": now_ns})
            self._known[device] = percent


MAX_WAIT_NS = 10_000_000_000
"""A card that is not idle by then stays so while a context is open, or works for others."""
LOOK_NS = 250_000_000


@runtime_checkable
class IdleObserver(Protocol):
    """An observer of a device that knows when the device has nothing to do."""

    def is_idle(self) -> bool | None:
        """Whether it has slowed down for lack of work; None if that is unknown."""
        ...


def at_idle_clocks(observers: Sequence[Observer]) -> bool | None:
    """Whether all devices that report it have slowed down for lack of work; None if none do."""
    answers = [each.is_idle() for each in observers if isinstance(each, IdleObserver)]
    known = [each for each in answers if each is not None]
    return all(known) if known else None
