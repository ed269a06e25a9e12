"""Devices that are read by a thread each: nothing that wakes one is lost, nor what one raises."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Mapping

import pytest

from harness.energy.recorder import device_reader, recording
from harness.energy.recorder.clock import Clocks, Steps
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.trace import trace_of
from tests.energy.ends import Ends
from tests.energy.traces import sensor
from tests.energy.virtual import SECOND, Lines

LATE_NS = 10**18
"""Later than any test: only a word wakes who sleeps till then."""
MS = 1_000_000
GUARD_S = 120


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    made = Ends(monkeypatch)
    # A guard against a test that waits for ever.
    guard = threading.Timer(GUARD_S, os.write, (made.input_far, b"."))
    guard.daemon = True
    guard.start()
    yield made
    guard.cancel()


def idle_watch(ends: Ends) -> Steps:
    while True:
        yield ends.signals.now_ns() + SECOND


def test_no_border_and_no_end_is_slept_through_however_they_fall(ends) -> None:
    """Threads that sleep, wake and finish all the time, with nothing but words to wake them."""
    chance = random.Random(0)
    for _ in range(100):
        heard = [0] * 4
        everyone = threading.Barrier(len(heard) + 1)

        def work(number: int, naps: int, heard=heard, everyone=everyone) -> Steps:
            for _ in range(naps):
                yield ends.signals.now_ns() + 1000
            everyone.wait(GUARD_S)
            while not ends.signals.stopped:
                heard[number] += yield LATE_NS
                if heard[number]:
                    return

        def announce(everyone=everyone) -> None:
            everyone.wait(GUARD_S)
            os.write(ends.borders_far, b"|")

        announcing = threading.Thread(target=announce)
        announcing.start()
        jobs = {str(n): work(n, chance.randrange(20)) for n in range(len(heard))}
        ends.signals.run(jobs, idle_watch(ends))
        announcing.join()
        assert heard == [1] * len(heard)
    ended: list[int] = []

    def until_the_end(number: int) -> Steps:
        while not ends.signals.stopped:
            yield LATE_NS
        ended.append(number)

    threading.Timer(0.05, os.write, (ends.input_far, b".")).start()
    ends.signals.run({str(n): until_the_end(n) for n in range(4)}, idle_watch(ends))
    assert sorted(ended) == [0, 1, 2, 3]


def test_what_a_device_s_thread_raises_ends_the_recorder_instead_of_the_device(ends) -> None:
    """A recorder that ends is replaced; a device that is not read would be missing unnoticed."""

    def broken() -> Steps:
        yield ends.signals.now_ns() + MS
        raise ZeroDivisionError

    def working() -> Steps:
        while not ends.signals.stopped:
            yield LATE_NS

    with pytest.raises(ZeroDivisionError):
        ends.signals.run({"GPU-0": broken(), "GPU-1": working()}, idle_watch(ends))
    assert not ends.signals.stopped


class Hanging:
    """A counter that answers only while it is let, and counts its answers then."""

    def __init__(self) -> None:
        self.sensor = sensor("energy", "counter", update_s=0.1)
        self.lets = threading.Event()
        self.enough = threading.Event()
        self.answers = 0

    def read(self) -> float:
        self.lets.wait()
        self.answers += 1
        if self.answers > 20:
            self.enough.set()
        return float(self.answers)


def test_a_driver_that_hangs_at_the_start_is_read_once_it_answers(ends, monkeypatch) -> None:
    monkeypatch.setattr(device_reader, "_TIMEOUT_NS", 20 * MS)
    monkeypatch.setattr(device_reader, "MIN_REST_NS", 20 * MS)
    monkeypatch.setattr(recording, "_LOOK_NS", 20 * MS)
    meter, log = Hanging(), Lines()
    log.append({"sensors": [meter.sensor.to_json()], "notes": [], "period_s": 0.05})
    recorded = Recording([meter], [], TraceWriter(log), ends.signals, 50 * MS)
    recorded.get_to_know(0)
    assert meter.answers == 0
    meter.lets.set()

    def stop() -> None:
        # Reading continues by itself, with a border now and then.
        while not meter.enough.wait(0.2) and not ends.signals.stopped:
            os.write(ends.borders_far, b"|")
        os.write(ends.input_far, b".")

    stopping = threading.Thread(target=stop)
    stopping.start()
    recorded.read()
    stopping.join()
    assert meter.answers > 20
    assert len(trace_of(log.lines).readings[0].value) > 3


class SlowAnswer:
    """Signals and a sensor whose answer takes as long as these steps, each seen by the watch."""

    def __init__(self, steps_s: tuple[float, ...]) -> None:
        self.sensor = sensor("power", "sampled")
        self.stopped = False
        self.given_up = False
        self._steps_s = steps_s
        self._time_ns = SECOND

    def now_ns(self) -> int:
        return self._time_ns

    def clocks(self) -> Clocks:
        return Clocks(0, 0)

    def wait(self, until_ns: int) -> bool:
        raise NotImplementedError

    def run(self, work: Mapping[str, Steps], watch: Steps) -> None:
        next(watch)
        self._watch = watch
        for steps in work.values():
            for due_ns in steps:
                self._time_ns = max(self._time_ns, due_ns)

    def read(self) -> float:
        for step_s in self._steps_s:
            self._time_ns += round(step_s * SECOND)
            try:
                self._watch.send(False)
            except StopIteration:
                self.given_up = True
                break
        return 100.0


@pytest.mark.parametrize(("steps_s", "given_up"), [((1.0, 1.0, 1.0), True), ((3.0,), False)])
def test_a_process_that_did_not_run_does_not_call_a_driver_hanging(steps_s, given_up) -> None:
    slow, log = SlowAnswer(steps_s), Lines()
    log.append({"sensors": [slow.sensor.to_json()], "notes": [], "period_s": 0.05})
    Recording([slow], [], TraceWriter(log), slow, 50 * MS).get_to_know(0)
    assert slow.given_up == given_up
    assert any("absent" in line for line in log.lines) != given_up
