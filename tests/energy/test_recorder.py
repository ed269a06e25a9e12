"""The recorder as a process: when it is ready, when it ends, and what is left if it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.energy.measurement import Measurement
from harness.energy.recorder import process
from harness.energy.recorder.process import RecorderProcess
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import read_trace
from harness.errors import MeasurementError
from harness.settings.settings import EnergySettings
from tests.energy.traces import lines_of

SLACK_NS = 300_000_000
"""How late anything may be on a busy machine."""

STARTER = """
import sys, time
from pathlib import Path
from harness.energy.sensors.base import MeterSetup
from harness.energy.recorder.process import RecorderProcess
from harness.errors import MeasurementError
from harness.settings.settings import EnergySettings
settings = EnergySettings(meters=sys.argv[2:3], period_s=0.02, idle_s=sys.argv[3])
recorder = RecorderProcess(Path(sys.argv[1]), settings, MeterSetup(1, None, 5.0, ""))
print("started", flush=True)
time.sleep(60)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether `condition` holds within `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def is_gone(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def recorder_pid(trace: Path) -> int:
    return lines_of(trace)[0]["recorder_pid"]


def count(trace: Path) -> int:
    return len(lines_of(trace))


def test_ready_is_reported_with_the_conditions_after_the_first_readings_are_on_file(
    stand_in, trace
) -> None:
    machine = stand_in(temperature_c=47)
    machine.gpus[0].processes = {os.getpid(): 1, 1: 1}
    setup = {"process_id": os.getpid(), "gpus": None, "watts_per_thread": 5.0, "watts_note": ""}
    config = {"trace": str(trace), "meters": ["nvml", "estimate"], "setup": setup}
    config |= {
        "period_s": 60,
        "idle_s": 0,
        "cool_down_c": None,
        "borders": None,
        "continues": False,
    }
    command = [sys.executable, "-m", "harness.energy.recorder", json.dumps(config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as recorder:
        first_line = json.loads(recorder.stdout.readline())
        found = {"temperature_c": 47, "throttling": [], "foreign": [1]}
        assert first_line == {"conditions": {machine.gpus[0].uuid: found}}
        assert all(len(each.value) for each in read_trace(trace).readings)
        assert first_line in lines_of(trace)
        recorder.stdin.close()
    assert recorder.returncode == 0


def test_stopping_takes_a_last_reading_at_once(start, trace) -> None:
    recorder = start("estimate", period_s=60)
    asked = time.monotonic_ns()
    recorder.stop()
    for readings in read_trace(trace).readings:
        assert readings.time_ns[-1] >= asked
        assert lines_of(trace)[-1]["end"] >= readings.time_ns[-1]


def test_readings_come_at_the_period_asked_for(stand_in, start, trace) -> None:
    stand_in(noise=0.1, power_update_ms=1, power_window_ms=1)
    recorder = start("nvml", period_s=0.05)
    began = time.monotonic_ns()
    time.sleep(1)
    recorder.stop()
    found = read_trace(trace)
    assert found.period_s == 0.05
    assert 3 <= sum(found.readings[1].time_ns > began) <= 20 * 1.6


def test_ends_by_itself_when_its_starter_is_killed(trace) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(trace), "estimate", "0"], stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout.readline() == b"started\n"
        process_id = recorder_pid(trace)
        assert not is_gone(process_id)
        starter.kill()
    assert wait_until(lambda: is_gone(process_id))
    assert "end" in lines_of(trace)[-1]


def test_ctrl_c_does_not_stop_it(start, trace) -> None:
    recorder = start("estimate")
    os.kill(recorder_pid(trace), signal.SIGINT)
    before = count(trace)
    assert wait_until(lambda: count(trace) > before + 3)
    recorder.stop()
    assert "end" in lines_of(trace)[-1]


def test_killed_recorder_leaves_a_trace_that_reads(start, trace) -> None:
    recorder = start("estimate", period_s=0.01)
    assert wait_until(lambda: count(trace) > 10)
    os.kill(recorder.process_id, signal.SIGKILL)
    assert wait_until(lambda: is_gone(recorder.process_id))
    found = read_trace(trace)
    on_file = [line for line in lines_of(trace) if isinstance(line, list)]
    assert sum(len(each.value) for each in found.readings) == len(on_file) > 2
    assert "end" not in lines_of(trace)[-1]


def test_a_killed_recorder_loses_at_most_a_second_of_a_constant_sensor(
    stand_in, start, trace
) -> None:
    stand_in(power_w=200)
    recorder = start("nvml", period_s=0.02)
    time.sleep(1.5)
    killed = time.monotonic_ns()
    os.kill(recorder_pid(trace), signal.SIGKILL)
    recorder.stop()
    instant = read_trace(trace).readings[1]
    assert set(instant.value) == {200.0}
    assert len(instant.value) < 10
    assert killed - instant.time_ns[-1] < 1_000_000_000 + SLACK_NS


def test_a_starter_killed_before_the_recorder_is_ready_ends_it_soon(stand_in, trace) -> None:
    stand_in()
    command = [sys.executable, "-c", STARTER, str(trace), "nvml", "500"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as starter:
        assert wait_until(lambda: trace.exists() and count(trace) > 3)
        process_id = recorder_pid(trace)
        starter.kill()
        errors = starter.stderr.read()
    assert wait_until(lambda: is_gone(process_id), 5)
    assert "end" in lines_of(trace)[-1]
    assert errors == b""


def test_run_that_is_gone_already_is_a_note(start, trace) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as run:
        pass
    start("estimate", process_id=run.pid)
    assert read_trace(trace).notes[0].startswith("estimate: ")


def test_recorder_that_cannot_write_says_so(start, trace) -> None:
    trace.mkdir()
    with pytest.raises(MeasurementError, match="failed to start"):
        start("estimate")


@pytest.mark.usefixtures("no_driver")
def test_without_a_driver_the_estimate_stands_in_and_a_note_says_why(start, trace) -> None:
    start("nvml", "estimate").stop()
    found = read_trace(trace)
    assert found.notes == ("nvml: NVML Shared Library Not Found",)
    assert {each.sensor.source for each in found.readings} == {"estimated"}


@pytest.mark.usefixtures("no_driver")
def test_without_any_sensor_it_waits_for_the_end_all_the_same(start, trace) -> None:
    recorder = start("nvml")
    assert recorder.conditions == {}
    recorder.stop()
    assert read_trace(trace).readings == ()
    assert "end" in lines_of(trace)[-1]


def test_one_that_was_stopped_is_not_revived(start, trace) -> None:
    recorder = start("estimate")
    recorder.stop()
    recorder.revive()
    assert is_gone(recorder.process_id)
    assert sum("recorder_pid" in line for line in lines_of(trace) if isinstance(line, dict)) == 1


def test_one_whose_number_is_unknown_is_asked_to_end_and_no_other_is_killed(
    start, monkeypatch
) -> None:
    """Ctrl-C while it starts: to the system process 0 is the group of this one."""
    run, killed = subprocess.run, []

    def interrupted(*arguments: Any, **options: Any) -> None:
        run(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(process.subprocess, "run", interrupted)
    monkeypatch.setattr(process.os, "kill", lambda pid, number: killed.append((pid, number)))
    with pytest.raises(KeyboardInterrupt):
        start("estimate")
    assert killed == []


def test_a_fork_while_the_recorder_stops_leaves_no_watch_behind(trace, monkeypatch) -> None:
    """Another thread may fork at any time, such as for a worker of a DataLoader."""
    stop = RecorderProcess.stop

    def stop_beside_a_fork(recorder: RecorderProcess) -> None:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        stop(recorder)

    monkeypatch.setattr(RecorderProcess, "stop", stop_beside_a_fork)
    setup = MeterSetup(os.getpid(), None, 5.0, "")
    with Measurement(trace, EnergySettings(meters=("estimate",)), setup) as running:
        running.open_window()
    assert not [each for each in threading.enumerate() if "recorder's watch" in each.name]
