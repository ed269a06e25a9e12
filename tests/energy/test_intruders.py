"""Others on a run's GPU while it works: named in the record, and the end of a run that forbids."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from harness.energy.health import Health
from harness.energy.recorder.conditions import Neighbours, named
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import read_trace, trace_of
from harness.results.table import load
from harness.scheduler.limits import Intruders
from tests.energy.traces import encode
from tests.energy.virtual import SECOND, Lines, VirtualSignals
from tests.fakes.stand_in import StandIn
from tests.scheduler.started import called, recorders_of, trainer_of, wait_until

GPU = "GPU-0"
NO_PROCESS = 2**22 + 12345
"""A number that no process has: Linux gives none above 2**22."""
CONDITIONS = {"conditions": {GPU: {"temperature_c": 40, "throttling": [], "foreign": []}}}

ENDLESS = """
from harness import Method, Train
class Endless(Method):
    '''Train for ever.'''
    def phases(self, budget):
        while True:
            yield Train("train", epochs=1, start_epoch=0)
"""


def state(**foreign: str) -> dict[str, Any]:
    state = {"processes": [1], **({"foreign": foreign} if foreign else {})}
    return {"state": state, "device": GPU, "time_ns": SECOND}


@pytest.fixture
def child() -> Iterator[int]:
    """A process that this one has started."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.stdin.close()


class Coming(VirtualSignals):
    """Lets processes come to the first GPU and go, each at its time."""

    def __init__(self, machine: StandIn, planned: list[tuple[int, list[int]]]) -> None:
        super().__init__(machine, [])
        self._gpu = machine.gpus[0]
        self._planned = planned

    def wait(self, until_ns: int) -> bool:
        heard = super().wait(until_ns)
        while self._planned and self.now_ns() >= self._planned[0][0]:
            self._gpu.processes = dict.fromkeys(self._planned.pop(0)[1], 1 << 20)
        return heard


def recorded(machine: StandIn, run: int, planned: list[tuple[int, list[int]]], end_ns: int) -> Any:
    """The lines of a recording in virtual time."""
    found = nvml.find(MeterSetup(run, None, 4.0, ""))
    lines = Lines()
    header = {"sensors": [m.sensor.to_json() for m in found.meters], "notes": [], "period_s": 0.05}
    lines.append(header)
    signals, trace = Coming(machine, planned), TraceWriter(lines)
    recording = Recording(
        found.meters, found.observers, trace, signals, SECOND // 20, Neighbours(run)
    )
    recording.get_to_know(0)
    trace.event({"conditions": {}})
    signals.plan([], end_ns)
    recording.read()
    return lines.lines


def test_who_comes_during_a_run_is_named_with_its_share_of_the_time(virtual, child) -> None:
    machine, run, other = virtual(), child, os.getpid()
    machine.gpus[0].processes = {run: 1 << 20}
    begin_ns = machine.clock_ns + 10 * SECOND
    end_ns = begin_ns + 100 * SECOND
    planned = [(begin_ns + 40 * SECOND, [run, other]), (begin_ns + 75 * SECOND, [run])]
    lines = recorded(machine, run, planned, end_ns)
    [flag] = Health(trace_of(lines), begin_ns, end_ns).flags
    gpu = re.escape(machine.gpus[0].uuid)
    name = re.escape(psutil.Process(other).name())
    found = re.fullmatch(
        rf"other processes on {gpu} \(PID {other}: {name}, for (\d+)% of the time\)", flag
    )
    assert found
    assert int(found[1]) == pytest.approx(35, abs=5)  # it is looked for every 5 s


def test_workers_of_the_run_that_come_and_go_are_its_own(virtual, child) -> None:
    machine, run = virtual(), os.getpid()
    machine.gpus[0].processes = {run: 1 << 20}
    begin_ns = machine.clock_ns + 10 * SECOND
    end_ns = begin_ns + 50 * SECOND
    planned = [(begin_ns + 10 * SECOND, [run, child]), (begin_ns + 20 * SECOND, [run])]
    lines = recorded(machine, run, planned, end_ns)
    assert any(child in each["state"]["processes"] for each in lines if "state" in each)
    assert Health(trace_of(lines), begin_ns, end_ns).flags == []


def test_the_recorder_names_who_came(stand_in, start, trace, child) -> None:
    machine = stand_in()
    machine.gpus[0].processes = {child: 1 << 20}
    recorder = start("nvml", process_id=child)
    machine.gpus[0].processes = {child: 1 << 20, os.getpid(): 1 << 20, NO_PROCESS: 1 << 20}
    recorder.stop()
    states = [each["state"] for each in read_trace(trace).events if "processes" in str(each)]
    assert "foreign" not in states[0]
    name = psutil.Process().name()
    assert states[-1]["foreign"] == {str(os.getpid()): name, str(NO_PROCESS): ""}


def test_what_draws_pictures_on_a_gpu_is_on_it_too(virtual, monkeypatch) -> None:
    machine = virtual()
    machine.gpus[0].processes = {7: 1}
    [observer] = nvml.find(MeterSetup(1, None, 4.0, "")).observers
    drawing = SimpleNamespace(pid=3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetGraphicsRunningProcesses", lambda _: [drawing])
    assert observer.state()["processes"] == [3, 7]
    monkeypatch.undo()
    machine.fault(3, "nvmlDeviceGetGraphicsRunningProcesses")
    assert observer.state()["processes"] == [7]


def test_a_name_is_kept_harmless(monkeypatch) -> None:
    monkeypatch.setattr(psutil.Process, "name", lambda _: "a\x1b[2J\n\udce9b")
    [name] = named([os.getpid()]).values()
    assert name == "a?[2J??b"


def test_a_run_is_ended_by_who_comes_and_not_by_who_was_there_before(trace: Path) -> None:
    intruders = Intruders(trace)
    assert intruders.look() is None
    with trace.open("ab") as file:

        def say(*lines: dict[str, Any]) -> str | None:
            file.write(encode(lines))
            file.flush()
            return intruders.look()

        assert say({"sensors": []}, state(**{"9": "early"}), state(), CONDITIONS) is None
        assert say(state()) is None
        found = say(state(**{"4711": "python3", "12": ""}))
        assert found == "energy.isolation: other processes use GPU-0: PID 4711, 12: python3"
        assert intruders.look() is None
        assert "late" in str(say(state(**{"5": "late"}), state()))


def test_a_run_that_wants_its_gpus_alone_fails_when_another_comes(stand_in, tmp_path: Path) -> None:
    # Runs of later tests come from the same server, which must not know of the stand-in.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["harness.runner.preload"])
    forkserver.ensure_running()
    machine = stand_in()
    (tmp_path / "endless.py").write_text(ENDLESS)
    out = tmp_path / "out"
    over = threading.Event()

    def come() -> None:
        wait_until(lambda: over.is_set() or recorders_of(os.getpid()), "the recorder starts")
        if over.is_set():
            return  # how it ended says why
        run = json.loads(recorders_of(os.getpid())[0].cmdline()[-1])["setup"]["process_id"]
        machine.gpus[0].processes = {run: 1 << 20}
        wait_until(lambda: over.is_set() or trainer_of(out) == run, "the run begins")
        machine.gpus[0].processes = {run: 1 << 20, os.getpid(): 1 << 20}

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(come)
        ended = called(
            *("endless", "--plugin", str(tmp_path / "endless.py"), "--seed", "0"),
            *("--out", str(out), "--no-report", "--max-run-time", "300s"),
            *("--set", "energy.gpus=all", "--set", "energy.isolation=error"),
            *("--set", "energy.idle_s=1"),
        )
        over.set()
    assert ended.returncode == 3, ended.stderr
    coming.result()
    [row] = load(out).to_dict("records")
    assert row["status"] == "failed"
    assert f"other processes use {machine.gpus[0].uuid}: PID {os.getpid()}" in row["reason"]
    assert row["energy_j"] > 0
    assert f"other processes on {machine.gpus[0].uuid}" in row["energy_flags"]
