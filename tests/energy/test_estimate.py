"""The estimate: CPU time and memory of real processes against what they are known to have used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest

from harness.energy.sensors import estimate, process_tree
from harness.energy.sensors.base import Meter, MeterSetup, SensorError
from harness.energy.sensors.estimate import MEMORY_W_PER_GB

WATTS = 5.0
TICK_J = WATTS / os.sysconf("SC_CLK_TCK")

RUN = (
    """
import os, signal, subprocess, sys, time
from subprocess import PIPE
kept = []
burn = """
    + repr(
        """
import sys, time
while time.process_time() < float(sys.argv[1]): pass
print("burnt", flush=True)
if sys.argv[2:]: input()
"""
    )
    + """
for line in sys.stdin:
    word, *rest = line.split()
    if word == "burn":
        ends = time.process_time() + float(rest[0])
        while time.process_time() < ends: pass
    elif word == "child":
        command = [sys.executable, "-c", burn, rest[0], "stay"]
        kept.append(subprocess.Popen(command, stdin=PIPE, stdout=PIPE))
        kept[-1].stdout.readline()
    elif word == "brief":
        subprocess.run([sys.executable, "-c", burn, rest[0]], stdout=PIPE, check=True)
    elif word == "end":
        kept[-1].stdin.close()
        kept[-1].stdout.read()
    elif word == "clear":
        kept[-1].wait()
    elif word == "ignore":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    elif word == "hold":
        block = b"x" * int(float(rest[0]) * 1e6)
    print("done", flush=True)
"""
)


class Run:
    """A process that obeys commands."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.send("burn 0")

    def send(self, words: str) -> None:
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def run() -> Iterator[Run]:
    found = Run()
    yield found
    found.end()


def meters_of(process_id: int) -> list[Meter]:
    return estimate.find(MeterSetup(process_id, (), WATTS, "a test's figure")).meters


def cpu_of(process_id: int) -> Meter:
    return meters_of(process_id)[0]


def test_energy_is_cpu_time_times_watts(run) -> None:
    meter = cpu_of(run.process.pid)
    before_j, before = meter.read(), psutil.Process(run.process.pid).cpu_times()
    run.send("burn 0.4")
    after_j, after = meter.read(), psutil.Process(run.process.pid).cpu_times()
    seconds = after.user + after.system - before.user - before.system
    assert seconds >= 0.35
    assert after_j - before_j == pytest.approx(seconds * WATTS, abs=2 * TICK_J)


@pytest.mark.parametrize("look_ns", [0, process_tree.LOOK_PERIOD_NS])
def test_a_child_that_ends_keeps_its_share_and_is_counted_once(run, monkeypatch, look_ns) -> None:
    monkeypatch.setattr(process_tree, "LOOK_PERIOD_NS", look_ns)
    run.send("child 0.5")
    meter = cpu_of(run.process.pid)
    alive = meter.read()
    assert alive > 0.48 * WATTS
    run.send("end")
    ended = meter.read()
    run.send("clear")
    cleared = meter.read()
    assert alive <= ended <= cleared
    assert cleared == pytest.approx(alive, abs=0.2 * WATTS)


def test_a_child_that_lives_shorter_than_a_look_is_counted(run) -> None:
    meter = cpu_of(run.process.pid)
    before = meter.read()
    run.send("brief 0.3")
    assert meter.read() - before > 0.27 * WATTS


@pytest.mark.parametrize("look_ns", [0, process_tree.LOOK_PERIOD_NS])
def test_a_child_that_nobody_waits_for_keeps_what_was_seen(run, monkeypatch, look_ns) -> None:
    monkeypatch.setattr(process_tree, "LOOK_PERIOD_NS", look_ns)
    run.send("ignore")
    run.send("child 0.5")
    meter = cpu_of(run.process.pid)
    alive = meter.read()
    run.send("end")
    time.sleep(0.1)
    gone = meter.read()
    assert alive <= gone < alive + 0.2 * WATTS
    run.send("burn 0.2")
    assert meter.read() >= gone + 0.19 * WATTS - 1e-9  # a tick less, and a float's rounding


class Told:
    """CPU times as psutil gives them, from a list."""

    def __init__(self, *seconds: float | None) -> None:
        self._seconds = list(seconds)

    def ask(self) -> SimpleNamespace:
        seconds = self._seconds.pop(0)
        if seconds is None:
            raise psutil.NoSuchProcess(1)
        return SimpleNamespace(user=seconds, system=0, children_user=0, children_system=0)


def test_a_child_that_ends_between_two_questions_is_counted_once(monkeypatch) -> None:
    """Its parent was asked before it was waited for, and it itself after."""
    found = process_tree.ProcessTree(os.getpid())
    parent, child = Told(1.0, 1.0, 101.0, 101.0), Told(100.0, None, None, None)
    monkeypatch.setattr(found, "_process", parent)
    monkeypatch.setattr(found, "_members", [parent, child])
    monkeypatch.setattr(found, "_looked_ns", time.monotonic_ns())
    with monkeypatch.context() as patched:
        patched.setattr(psutil.Process, "cpu_times", Told.ask)
        assert [found.cpu_time_s() for _ in range(3)] == [101.0] * 3


def test_a_process_that_nobody_has_waited_for_yet_still_counts() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"]
    ) as process:
        meter = cpu_of(process.pid)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert meter.read() == pytest.approx(0.3 * WATTS, abs=0.1 * WATTS)


def test_memory_is_what_the_processes_hold_times_watts(run) -> None:
    memory = meters_of(run.process.pid)[1]
    assert (memory.sensor.quantity, memory.sensor.kind) == ("power", "dram")
    before_w = memory.read()
    resident_gb = psutil.Process(run.process.pid).memory_info().rss * 1e-9
    assert before_w == pytest.approx(resident_gb * MEMORY_W_PER_GB, rel=0.02)
    run.send("hold 100")
    assert memory.read() - before_w == pytest.approx(0.1 * MEMORY_W_PER_GB, rel=0.05)


def test_memory_of_children_counts(run, monkeypatch) -> None:
    monkeypatch.setattr(process_tree, "LOOK_PERIOD_NS", 0)
    memory = meters_of(run.process.pid)[1]
    before_w = memory.read()
    run.send("child 0.01")
    child_gb = psutil.Process(run.process.pid).children()[0].memory_info().rss * 1e-9
    assert memory.read() - before_w >= 0.9 * child_gb * MEMORY_W_PER_GB


def test_a_process_that_is_gone_is_a_failed_reading(run) -> None:
    meters = meters_of(run.process.pid)
    run.end()
    for meter in meters:
        with pytest.raises(SensorError, match="gone"):
            meter.read()


def test_a_process_that_never_was_is_a_note(run) -> None:
    run.end()
    found = estimate.find(MeterSetup(run.process.pid, (), WATTS, ""))
    assert found.meters == []
    assert "the run's process is gone" in found.notes[0]


def test_estimates_are_called_so() -> None:
    sensors = [meter.sensor for meter in meters_of(os.getpid())]
    assert {sensor.source for sensor in sensors} == {"estimated"}
    assert {sensor.kind: sensor.relative_uncertainty for sensor in sensors} == {
        "cpu": 2.0,
        "dram": 0.5,
    }
    assert "a test's figure" in sensors[0].note
