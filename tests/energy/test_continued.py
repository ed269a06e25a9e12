"""A recorder that dies is replaced, on the same trace; the time in between is a reported gap."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.energy.health import Health
from harness.energy.integration.windows import curves, total
from harness.energy.recorder import process as recorder_process
from harness.energy.recorder.__main__ import RESTARTED, in_their_places, sensors_in
from harness.energy.trace import read_trace
from harness.utils.jsonl import LogWriter
from tests.energy.test_patience import Asked
from tests.energy.traces import lines_of, sensor


def wait_until(holds, what: str) -> None:
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends, f"waited in vain until {what}"
        time.sleep(0.01)


def kill(recorder: int) -> None:
    """And wait until it is gone; no parent waits for it, so a zombie counts as gone."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.kill(recorder, signal.SIGKILL)
        killed = psutil.Process(recorder)
        tasks = Path(f"/proc/{recorder}/task")  # its threads end one after the other

        def is_gone() -> bool:
            return killed.status() == psutil.STATUS_ZOMBIE and len(list(tasks.iterdir())) == 1

        wait_until(is_gone, "it is killed")


def test_a_killed_recorder_is_replaced_and_the_joules_are_those_drawn(
    stand_in, start, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_process, "BETWEEN_REVIVALS_S", 0.0)
    machine = stand_in(gpus=1, power_w=250.0)
    recorder = start("nvml", "estimate")
    begin_ns = time.monotonic_ns()
    kill(recorder.process_id)

    def replaced() -> bool:
        recorder.revive()
        return any("continues" in line for line in lines_of(trace) if isinstance(line, dict))

    wait_until(replaced, "another recorder continues")
    before = len(read_trace(trace).readings[0].value)
    wait_until(lambda: len(read_trace(trace).readings[0].value) > before + 3, "it reads")
    end_ns = time.monotonic_ns()
    recorder.stop()
    found = read_trace(trace)
    health = Health(found, begin_ns, end_ns)
    assert "the recorder died and was restarted (1 x)" in health.flags
    assert all(RESTARTED in each.why for each in found.readings)
    drawn = total(c.between(begin_ns, end_ns) for c in curves(found, (begin_ns, end_ns)))
    truth_j = machine.gpus[0].truth_j(begin_ns, end_ns)
    assert abs(drawn.energy_j - truth_j) <= drawn.uncertainty_j
    for each in found.readings:
        assert (each.time_ns[1:] >= each.time_ns[:-1]).all()


def test_of_one_that_died_another_takes_the_last_readings(stand_in, start, trace: Path) -> None:
    """However short the time was: what the counter counted is known."""
    machine = stand_in(gpus=1, power_w=250.0)
    recorder = start("nvml", "estimate")
    begin_ns = time.monotonic_ns()
    os.kill(recorder.process_id, signal.SIGKILL)  # and it may not be gone yet
    end_ns = time.monotonic_ns()
    recorder.stop()
    found = read_trace(trace)
    assert "end" in lines_of(trace)[-1]
    drawn = total(c.between(begin_ns, end_ns) for c in curves(found, (begin_ns, end_ns)))
    truth_j = machine.gpus[0].truth_j(begin_ns, end_ns)
    assert abs(drawn.energy_j - truth_j) <= drawn.uncertainty_j
    estimate = next(each for each in found.readings if each.sensor.quantity == "energy")
    assert estimate.time_ns[-1] > end_ns


def test_a_recorder_that_lives_is_left_alone_and_one_that_never_lives_is_given_up(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_process, "BETWEEN_REVIVALS_S", 0.0)
    monkeypatch.setattr(recorder_process, "MAX_REVIVALS", 3)
    recorder = start("estimate")
    pids = set()
    for _ in range(5):
        recorder.revive()
        pids.add(recorder.process_id)
    assert len(pids) == 1
    for _ in range(6):
        kill(recorder.process_id)
        recorder.revive()
        pids.add(recorder.process_id)
    assert len(pids) == 1 + 3


def test_sensors_keep_their_numbers_whatever_is_found_again(trace: Path) -> None:
    log = LogWriter(trace)
    first = [sensor("power", "sampled", device=name) for name in ("GPU-0", "GPU-1", "GPU-2")]
    log.append({"sensors": [each.to_json() for each in first], "notes": [], "period_s": 1})
    log.append([0, 1, 5.0])
    log.close()
    found = [Asked("GPU-9", lambda: 9.0), Asked("GPU-2", lambda: 2.0), Asked("GPU-0", lambda: 0.0)]
    zero, lost, two = in_their_places(found, sensors_in(trace))
    assert (zero.read(), two.read()) == (0.0, 2.0)
    assert lost.sensor.device == "GPU-1"
    with pytest.raises(Exception, match="gone since the recorder was restarted"):
        lost.read()
