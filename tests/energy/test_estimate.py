"""The estimate: CPU time of real processes against psutil's own figures, and watts by CPU name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files

import pandas as pd
import psutil
import pytest

from harness.energy import estimate
from harness.energy.estimate import EstimateMeter, watts_per_thread
from harness.energy.meter import MeterSetup

WATTS = 5.0
TICK_J = WATTS / os.sysconf("SC_CLK_TCK")

FAMILY = """
import subprocess, sys, time
from subprocess import PIPE
burn = '''
import time
while time.process_time() < 0.5: pass
print("burnt", flush=True)
input()
'''
child = subprocess.Popen([sys.executable, "-c", burn], stdin=PIPE, stdout=PIPE)
while time.process_time() < 0.5: pass
child.stdout.readline()
print("burnt", flush=True)
input()  # end the child, but leave its entry in the table of processes
child.stdin.close()
child.stdout.read()
print("ended", flush=True)
input()  # clear the entry
child.wait()
print("cleared", flush=True)
input()
"""


class Family:
    """A process and its child, each with half a second of CPU time, idle by now."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FAMILY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "burnt\n"

    def step(self, answer: str) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{answer}\n"

    def cpu_time_s(self) -> float:
        parent = psutil.Process(self.process.pid)
        times = [each.cpu_times() for each in [parent, *parent.children()]]
        return sum(each.user + each.system for each in times)


@pytest.fixture
def family() -> Iterator[Family]:
    found = Family()
    yield found
    found.process.kill()
    found.process.communicate()


def meter_of(process_id: int) -> EstimateMeter:
    return EstimateMeter(MeterSetup(process_id, (), WATTS, "a test's figure"))


def test_energy_is_cpu_time_of_process_and_child_times_watts(family) -> None:
    sample = meter_of(family.process.pid).sample()
    assert sample.value == pytest.approx(family.cpu_time_s() * WATTS, abs=4 * TICK_J)
    assert sample.value > 0.9 * WATTS


@pytest.mark.parametrize("period_ns", [0, estimate.FAMILY_PERIOD_NS])
def test_child_that_ended_keeps_its_share_and_is_counted_once(
    family, monkeypatch, period_ns
) -> None:
    monkeypatch.setattr(estimate, "FAMILY_PERIOD_NS", period_ns)
    meter = meter_of(family.process.pid)
    alive = meter.sample().value
    family.step("ended")
    ended = meter.sample().value
    family.step("cleared")
    cleared = meter.sample().value
    assert alive <= ended <= cleared
    assert cleared == pytest.approx(alive, abs=0.2 * WATTS)


def test_process_that_is_gone_gives_a_sample_without_value(family) -> None:
    meter = meter_of(family.process.pid)
    assert meter.sample().value is not None
    family.process.kill()
    family.process.wait()
    sample = meter.sample()
    assert sample.value is None
    assert "gone" in sample.error


def test_process_that_nobody_waited_for_is_gone_as_well() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        meter = meter_of(process.pid)
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert meter.sample().value is None


def test_estimate_is_called_one() -> None:
    sensor = meter_of(os.getpid()).sensor
    assert (sensor.source, sensor.kind) == ("estimated", "cpu")
    assert sensor.relative_uncertainty == 0.5
    assert "a test's figure" in sensor.note


def machine(monkeypatch, tmp_path, name: str, siblings: int, flags: str = "fpu sse") -> None:
    """Pretend to run on another CPU."""
    info = tmp_path / "cpuinfo"
    processor = (
        f"processor\t: 0\nmodel name\t: {name}\nsiblings\t: {siblings}\nflags\t\t: {flags}\n"
    )
    info.write_text(processor * 2)
    monkeypatch.setattr(estimate, "CPU_INFO", info)


@pytest.mark.parametrize(
    ("name", "design_power_w"),
    [
        ("AMD EPYC 7763 64-Core Processor", 280),
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", 135),
        ("AMD Ryzen 9 5950X 16-Core Processor", 105),
        ("Intel(R) Core(TM) Ultra 7 155H", 28),
        ("12th Gen Intel(R) Core(TM) i7-12700H", 45),
        ("AMD Ryzen 7 PRO 4750U with Radeon Graphics", 15),
    ],
)
def test_watts_are_design_power_by_thread(monkeypatch, tmp_path, name, design_power_w) -> None:
    """Of one socket's threads, however many sockets there are."""
    machine(monkeypatch, tmp_path, name, siblings=8)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    watts, note = watts_per_thread()
    assert watts == design_power_w / 8
    assert name in note


def test_a_virtual_machine_gets_the_fallback_since_it_hides_threads(monkeypatch, tmp_path) -> None:
    machine(monkeypatch, tmp_path, "AMD EPYC 7763 64-Core Processor", 2, flags="fpu hypervisor sse")
    watts, note = watts_per_thread()
    assert watts == 4
    assert "virtual machine" in note


@pytest.mark.parametrize("name", ["AMD EPYC", "Intel(R) Xeon(R) Processor @ 2.20GHz", "x86_64", ""])
def test_cpu_that_is_not_in_the_table_gets_the_fallback(monkeypatch, tmp_path, name) -> None:
    machine(monkeypatch, tmp_path, name, siblings=8)
    watts, note = watts_per_thread()
    assert watts == 4
    assert "fallback" in note


def odd_names() -> list[str]:
    """CPUs whose figure in CodeCarbon's table is no positive number, such as "27.29.5"."""
    table = pd.read_csv(str(files("codecarbon").joinpath("data", "hardware", "cpu_power.csv")))
    return table.loc[~(pd.to_numeric(table["TDP"], errors="coerce") > 0), "Name"].tolist()


@pytest.mark.parametrize("name", odd_names())
def test_cpu_without_a_usable_figure_gets_the_fallback(monkeypatch, tmp_path, name) -> None:
    machine(monkeypatch, tmp_path, name, siblings=8)
    assert watts_per_thread()[0] == 4
