"""Work beside a run: what else keeps the CPUs busy, and what is reported of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from harness.energy.health import Health
from harness.energy.sensors.process_tree import HostObserver
from harness.energy.trace import Trace, read_trace
from tests.energy.traces import SECOND, readings, sensor

CPUS = 4
HOST = "host:h"
MEASURED = readings([0, 100], [50.0, 50.0], sensor("power", "sampled"))
ESTIMATED = readings([0, 100], [0.0, 100.0], sensor("energy", "estimated", device="cpu:h"))

BURN = """
import os
while sum(os.times()[:2]) < 0.4:
    pass
print("burnt", flush=True)
input()
"""
"""Uses its CPU for a while, and then stays."""


def host_events(*looks: tuple[float, float]) -> tuple[dict[str, Any], ...]:
    """Events of the host: pairs of moment and CPU time, in seconds."""
    settings = {"settings": {"cpus": CPUS}, "device": HOST}
    states = [
        {"state": {"other_cpu_s": busy_s}, "device": HOST, "time_ns": round(at_s * SECOND)}
        for at_s, busy_s in looks
    ]
    return (settings, *states)


def health(*looks: tuple[float, float], sensed: Any = MEASURED) -> Health:
    trace = Trace((sensed,), period_s=0.05, events=host_events(*looks))
    return Health(trace, 10 * SECOND, 20 * SECOND)


@pytest.mark.parametrize(
    ("looks", "share"),
    [
        ([(5, 0), (25, 0)], 0),
        ([(0, 0), (40, 40)], 1 / CPUS),
        ([(0, 0), (10, 30), (20, 30)], 0),  # all of it before the run
        ([(5, 0), (10, 0), (15, 20), (20, 20)], 0.5),
        ([(9, 7), (14, 27), (16, 0), (21, 20)], 32 / 40),  # a new recorder begins at 0
        ([(10, 5), (15, 4.98), (20, 4.98)], 0),  # the counts of two clocks differ a little
    ],
)
def test_the_share_is_of_all_cpus_and_of_the_run_alone(looks: Any, share: float) -> None:
    assert health(*looks).background_cpu == pytest.approx(share)


def test_who_did_not_look_twice_knows_nothing() -> None:
    assert health().background_cpu is None
    assert health((15, 3)).background_cpu is None


@pytest.mark.parametrize(("busy_s", "flagged"), [(3.6, False), (9.2, True)])
def test_much_other_work_casts_doubt_on_what_was_measured(busy_s: float, flagged: bool) -> None:
    flags = ["other work kept 23% of the CPUs busy"] if flagged else []
    assert health((10, 0), (20, busy_s)).flags == flags
    assert health((10, 0), (20, busy_s), sensed=ESTIMATED).flags == flags


def test_looking_at_the_host_is_no_look_at_throttling() -> None:
    assert health((10, 0), (20, 1)).throttled_share is None


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the machine's CPUs have worked for so long, all in all."""
    spent = SimpleNamespace(user=0.0, nice=0.0, system=0.0, idle=1e6)
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(**vars(spent)))

    def spend(seconds: float) -> None:
        spent.user += seconds / 2
        spent.system += seconds / 2
        spent.idle += 1000

    return spend


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """CPU time of this process, as the test says."""
    used = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr("time.process_time", lambda: float(used.seconds))
    return used


def test_neither_the_run_nor_who_watches_it_is_other_work(spend, own) -> None:
    command = [sys.executable, "-c", BURN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        observer = HostObserver(run.pid)
        assert observer.settings() == {"cpus": psutil.cpu_count()}
        before_s = sum(psutil.Process(run.pid).cpu_times()[:2])
        run.stdout.readline()
        used_s = sum(psutil.Process(run.pid).cpu_times()[:2]) - before_s
        own.seconds += 2
        spend(2 + used_s + 5)
        assert observer.state() == {"other_cpu_s": pytest.approx(5, abs=0.05)}
        run.communicate(b"\n")
    spend(100)
    assert observer.state() == {"other_cpu_s": pytest.approx(5, abs=0.05)}  # as was known last


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("meters", [("nvml",), ("estimate",)])
def test_it_is_recorded_without_any_sensor(start, trace, meters) -> None:
    recorder = start(*meters, process_id=os.getpid())
    recorder.stop()
    found = read_trace(trace).events
    assert any(each.get("settings", {}).get("cpus") == psutil.cpu_count() for each in found)
    assert any(each.get("state", {}).get("other_cpu_s", -1) >= 0 for each in found)
