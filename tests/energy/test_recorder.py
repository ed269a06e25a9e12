"""The recorder as a process: when it is ready, when it ends, and what is left if it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.energy.trace import read_trace
from tests.energy.traces import encode, header, lines_of, sensor

STARTER = """
import sys, time
from pathlib import Path
from harness.energy.meter import MeterSetup
from harness.energy.recorder_process import RecorderProcess
from harness.settings import EnergySettings
settings = EnergySettings(meters=("estimate",), period_s=0.02)
recorder = RecorderProcess(Path(sys.argv[1]), settings, MeterSetup(1, (), 5.0, ""))
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


def test_ready_is_said_after_the_first_readings_are_on_file(trace) -> None:
    setup = {"process_id": os.getpid(), "gpus": [], "watts_per_thread": 5.0, "watts_note": ""}
    config = {"trace": str(trace), "meters": ["estimate"], "period_s": 60, "setup": setup}
    command = [sys.executable, "-m", "harness.energy.recorder", json.dumps(config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as recorder:
        assert recorder.stdout.readline() == b"ready\n"
        assert [len(each.value) for each in read_trace(trace).readings] == [1]
        recorder.stdin.close()
    assert recorder.returncode == 0


def test_stopping_takes_a_last_reading_at_once(start, trace) -> None:
    recorder = start("estimate", period_s=60)
    asked = time.monotonic_ns()
    recorder.stop()
    (readings,) = read_trace(trace).readings
    assert readings.time_ns[-1] >= asked
    assert lines_of(trace)[-1]["end"] >= readings.time_ns[-1]


def test_readings_come_at_the_period_asked_for(start, trace) -> None:
    recorder = start("estimate", period_s=0.05)
    time.sleep(1)
    recorder.stop()
    found = read_trace(trace)
    assert found.period_s == 0.05
    assert 3 <= len(found.readings[0].value) <= 22


def test_ends_by_itself_when_its_starter_is_killed(trace) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(trace)], stdout=subprocess.PIPE
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
    os.kill(recorder_pid(trace), signal.SIGKILL)
    recorder.stop()
    (readings,) = read_trace(trace).readings
    assert len(readings.value) == count(trace) - 1
    assert "end" not in lines_of(trace)[-1]


def test_trace_cut_anywhere_loses_only_the_line_it_was_cut_in(trace) -> None:
    samples = [[0, 1000 * number, 0.5 * number] for number in range(4)]
    content = encode([header([sensor()]), *samples])
    first = content.index(b"\n") + 1
    for size in range(first, len(content) + 1):
        trace.write_bytes(content[:size])
        whole = content[first:size].count(b"\n")
        (readings,) = read_trace(trace).readings
        assert readings.time_ns.tolist() == [0, 1000, 2000, 3000][:whole]


@pytest.mark.parametrize("cut", [b"", b'{"sensors": [{"dev', b'{"sensors":[]}'])
def test_trace_whose_recorder_died_at_its_first_line_is_empty(trace, cut) -> None:
    trace.write_bytes(cut)
    assert read_trace(trace).readings == ()


def test_failed_readings_are_counted_and_left_out(trace) -> None:
    samples = [[0, 1, 5.0], [0, 2, None, "GPU is lost"], [0, 3, 7.0], [1, 3, None, "Timeout"]]
    trace.write_bytes(encode([header([sensor(), sensor("power")]), *samples]))
    energy, power = read_trace(trace).readings
    assert (energy.value.tolist(), energy.failures) == ([5.0, 7.0], 1)
    assert (power.value.tolist(), power.failures) == ([], 1)


def test_trace_begun_anew_counts_from_there(trace) -> None:
    """An attempt that died before its first event leaves its trace to the next one.

    If the machine was restarted in between, the clock begins again, too.
    """
    old = [header([sensor("power"), sensor()]), [0, 9_000, 200.0], [1, 9_000, 70.0]]
    new = [header([sensor()]), [0, 1_000, 1.0], [0, 2_000, 3.0]]
    trace.write_bytes(encode([*old, *new]))
    (readings,) = read_trace(trace).readings
    assert readings.sensor.quantity == "energy"
    assert readings.time_ns.tolist() == [1_000, 2_000]


def test_run_that_is_gone_already_is_a_note(start, trace) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as run:
        pass
    start("estimate", process_id=run.pid)
    assert read_trace(trace).notes[0].startswith("estimate: ")


def test_recorder_that_cannot_write_says_so(start, trace) -> None:
    trace.mkdir()
    with pytest.raises(RuntimeError, match="did not start"):
        start("estimate")
