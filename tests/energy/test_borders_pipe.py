"""Borders on their way to the recorder: heard at once, and costing the run nothing."""

from __future__ import annotations

import os
import time
from multiprocessing import Pipe

import numpy as np

from harness.energy.integration.update_period import sharp_updates
from harness.energy.recorder.clock import announcer
from harness.energy.trace import read_trace
from tests.energy.ends import Ends
from tests.fakes.rapl import FakeRapl

SLACK_NS = 300_000_000
"""How late anything may be on a busy machine."""
TENTH = 100_000_000


def test_every_announcement_is_heard() -> None:
    hearing, telling = Pipe(duplex=False)
    announce = announcer(telling)
    assert not hearing.poll(0)
    announce()
    assert hearing.poll(1)
    announce()
    assert len(os.read(hearing.fileno(), 100)) == 2
    hearing.close()
    telling.close()


def test_a_listener_that_is_gone_is_nothing_to_the_run() -> None:
    hearing, telling = Pipe(duplex=False)
    announce = announcer(telling)
    hearing.close()
    announce()
    telling.close()
    announce()


def test_a_listener_that_does_not_listen_never_holds_the_run_up() -> None:
    hearing, telling = Pipe(duplex=False)
    announce = announcer(telling)
    began = time.monotonic()
    for _ in range(200_000):  # a pipe holds 64 KiB
        announce()
    assert time.monotonic() - began < 10
    while hearing.poll(0):
        os.read(hearing.fileno(), 1 << 20)
    announce()
    assert os.read(hearing.fileno(), 100) == b"|"
    hearing.close()
    telling.close()


def test_borders_are_heard_at_once(powercap, start, trace) -> None:
    """With a period of ten seconds, all readings of the time in between are those at borders."""
    hearing, telling = Pipe(duplex=False)
    announce = announcer(telling)
    borders = []
    with FakeRapl(powercap, {"intel-rapl:0": "package-0"}).turning():
        recorder = start("rapl", period_s=10, borders=hearing.fileno())
        for _ in range(20):
            time.sleep(0.03)
            borders.append(time.monotonic_ns())
            announce()
        time.sleep(0.1)
        recorder.stop()
    telling.close()
    hearing.close()
    times = read_trace(trace).readings[0].time_ns
    late_ns = [int(times[times >= border].min()) - border for border in borders]
    assert np.median(late_ns) < 5_000_000
    assert max(late_ns) < SLACK_NS


def test_updates_after_a_border_are_seen_sharply(stand_in, start, trace) -> None:
    stand_in(power_w=200, counter_phase_ms=33)
    hearing, telling = Pipe(duplex=False)
    announce = announcer(telling)
    recorder = start("nvml", period_s=0.05, borders=hearing.fileno())
    sharp: list[int] = []
    while not sharp or (max(sharp) < 3 and len(sharp) < 20):  # the machine may be busy
        border = time.monotonic_ns()
        announce()
        time.sleep(0.42)
        counter = read_trace(trace).readings[0]
        seen = sharp_updates(counter.time_ns, counter.value).time_ns
        sharp.append(int(((seen > border) & (seen < border + 350_000_000)).sum()))
    recorder.stop()
    telling.close()
    hearing.close()
    # Else it would look once a second.
    assert max(sharp) >= 3


def test_waiting_ends_at_a_border_and_at_the_end_and_else_takes_its_time(monkeypatch) -> None:
    """What is at its end is always ready to be read, and must not keep the recorder busy."""
    ends = Ends(monkeypatch)
    heard, took = ends.waited(TENTH)
    assert (heard, took >= TENTH) == (False, True)
    os.write(ends.borders_far, b"||")
    heard, took = ends.waited(60 * TENTH)
    assert (heard, took < 10 * TENTH) == (True, True)
    os.close(ends.borders_far)
    assert ends.waited(TENTH)[0] is False
    assert ends.waited(TENTH)[1] >= TENTH
    assert not ends.signals.stopped
    os.close(ends.input_far)
    assert ends.waited(60 * TENTH)[1] < 10 * TENTH
    assert ends.signals.stopped
    assert ends.waited(TENTH)[1] >= TENTH
    os.close(ends.borders)
    os.close(ends.input)
