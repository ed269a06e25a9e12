"""A laptop's battery: what it shows while it discharges, and what it does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from harness.energy.sensors import battery, sysfs
from harness.energy.sensors.base import Found, MeterSetup
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.energy.virtual import SECOND
from tests.fakes.laptop import FakeBattery, charger

SETUP = MeterSetup(os.getpid(), (), 4.0, "")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is read in place of /sys."""
    monkeypatch.setenv(sysfs.ELSEWHERE, str(tmp_path))
    return tmp_path


def found_on(device: FakeBattery, clock: Clock) -> Found:
    device.turn_to(clock.clock_ns)
    found = battery.find(SETUP)
    for meter in found.meters:  # as in a study whose scope is the machine
        assert meter.sensor.is_of_machine
    return found


@pytest.mark.parametrize(("refresh_s", "counts_charge"), [(5, False), (5, True), (30, False)])
def test_joules_are_right_within_what_is_stated(root, refresh_s, counts_charge) -> None:
    rng = np.random.default_rng(refresh_s)
    device = FakeBattery(root, 8.0, refresh_s=refresh_s, counts_charge=counts_charge)
    clock = Clock(50 * SECOND + int(rng.integers(30 * SECOND)))
    lengths_s, powers_w = rng.uniform(60, 240, 6), rng.uniform(6, 60, 6)
    trace, borders = watch(device, found_on(device, clock).meters, clock, lengths_s, powers_w)
    whole = measured(trace, borders[0], borders[-1])
    truth_j = device.power.truth_j(borders[0], borders[-1])
    assert whole.joules.coverage == pytest.approx(1, abs=0.01)
    assert whole.joules.energy_j == pytest.approx(truth_j, rel=0.02)
    held = 0
    for start_ns, end_ns in pairwise(borders):
        joules = measured(trace, start_ns, end_ns).joules
        held += (
            abs(joules.energy_j - device.power.truth_j(start_ns, end_ns)) < joules.without_gain_j
        )
    assert held >= 5


def test_a_window_shorter_than_a_step_says_that_it_is_not_resolved(root) -> None:
    device, clock = FakeBattery(root, 10.0, refresh_s=30), Clock()
    meters = found_on(device, clock).meters
    trace, borders = watch(device, meters, clock, [200, 2, 200], [10, 10, 10])
    short = measured(trace, borders[1], borders[2]).joules
    assert short.without_gain_j > 0.5 * short.energy_j
    assert any("too short" in flag for flag in measured(trace, borders[1], borders[2]).flags)
    assert not measured(trace, borders[0], borders[3]).flags


def test_a_charger_that_is_plugged_in_mid_run_is_a_gap_with_its_reason(root) -> None:
    device, clock = FakeBattery(root, 10.0, refresh_s=1), Clock()
    meters = found_on(device, clock).meters

    def happens(now_ns: int) -> None:
        is_charged = 300 * SECOND < now_ns < 500 * SECOND
        device.status = "Charging" if is_charged else "Discharging"
        charger(root, online=is_charged)

    trace, borders = watch(device, meters, clock, [800], [20], happens=happens)
    found = measured(trace, *borders)
    assert found.joules.coverage == pytest.approx(0.75, abs=0.02)
    assert found.joules.energy_j == pytest.approx(800 * 20, rel=0.03)
    assert found.joules.gap_j > 500
    assert any("charger is plugged in" in flag for flag in found.flags)


def test_a_gauge_that_stands_still_is_not_trusted(root) -> None:
    device, clock = FakeBattery(root, 10.0, refresh_s=1), Clock()
    meters = found_on(device, clock).meters

    def happens(now_ns: int) -> None:
        device.stale = 100 * SECOND < now_ns < 500 * SECOND

    trace, borders = watch(device, meters, clock, [600], [20], happens=happens)
    found = measured(trace, *borders)
    assert found.joules.coverage < 0.7
    assert any("stood still" in flag for flag in found.flags)
    assert abs(found.joules.energy_j - 12_000) < found.joules.uncertainty_j


def test_two_batteries_are_one_meter(root) -> None:
    first, second = (FakeBattery(root, 10.0, refresh_s=1, name=f"BAT{n}") for n in range(2))
    clock = Clock()
    second.status = "Not charging"
    second.turn_to(clock.clock_ns)
    second.stale = True  # it rests until the first is empty
    [energy, power] = found_on(first, clock).meters
    before_j = energy.read()
    first.turn_to(clock.clock_ns + 100 * SECOND)
    second.write("power_now", 0)
    assert energy.read() - before_j == pytest.approx(1000, abs=40)
    assert power.read() == pytest.approx(10)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging"])
def test_with_the_charger_plugged_in_nothing_is_found_and_the_reason_given(root, status) -> None:
    device = FakeBattery(root)
    device.status = status
    found = found_on(device, Clock())
    assert not found.meters
    assert any("charger" in note for note in found.notes)


def test_the_battery_of_a_mouse_is_not_the_machine_s(root) -> None:
    device = FakeBattery(root, name="hidpp_battery_0")
    device.write("scope", "Device")
    assert found_on(device, Clock()) == Found([])


def test_a_folder_that_is_not_the_kernel_s_is_simulated(root) -> None:
    assert {m.sensor.source for m in found_on(FakeBattery(root), Clock()).meters} == {"simulated"}


DUMP = """\
P: /devices/LNXSYSTM:00/PNP0C0A:00/power_supply/BAT0
E: SUBSYSTEM=power_supply
A: type=Battery\\n
A: scope=System\\n
A: status=Discharging\\n
A: manufacturer=SANYO\\n
A: model_name=45N1767\\n
A: energy_full=57020000\\n
A: energy_full_design=62160000\\n
A: energy_now=40000000\\n
A: power_now=9500000\\n
A: voltage_now=15400000\\n
"""
"""A battery as `umockdev-record` writes it."""
READ = """
import json, os
from pathlib import Path
from harness.energy.sensors import battery
from harness.energy.sensors.base import MeterSetup
energy, power = battery.find(MeterSetup(os.getpid(), (), 4.0, "")).meters
before_j = energy.read()
files = Path(os.environ["UMOCKDEV_DIR"]) / "sys/devices/LNXSYSTM:00/PNP0C0A:00/power_supply/BAT0"
(files / "energy_now").write_text("39000000\\n")
print(json.dumps([energy.read() - before_j, power.read(), energy.sensor.to_json()]))
"""


@pytest.mark.skipif(shutil.which("umockdev-run") is None, reason="umockdev is not installed")
def test_under_the_real_path_it_is_a_sensor_of_this_machine(tmp_path) -> None:
    (tmp_path / "laptop.umockdev").write_text(DUMP)
    ended = subprocess.run(
        ["umockdev-run", "-d", tmp_path / "laptop.umockdev", "--", sys.executable, "-c", READ],
        capture_output=True,
        text=True,
        check=True,
    )
    drawn_j, power_w, sensor = json.loads(ended.stdout)
    assert drawn_j == pytest.approx(3600)
    assert power_w == pytest.approx(9.5)
    assert sensor["source"] == "counter"
    assert sensor["resolution_j"] == pytest.approx(72)  # all figures are multiples of 20 mWh
    assert "SANYO" in sensor["name"]
