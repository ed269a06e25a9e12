"""RAPL: packages and DRAM only, wrapped counters, and what to do where reading is not permitted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from harness.energy import rapl
from harness.energy.meter import MeterSetup
from harness.energy.trace import Readings, Trace
from harness.energy.windows import curves

SETUP = MeterSetup(os.getpid(), None, 4.0, "a test's figure")
RANGE_UJ = 262_143_328_850


class Zones:
    """A folder such as /sys/class/powercap, with counters that the test turns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, zone: str, name: str, energy_uj: int = 0) -> None:
        folder = self.path / zone
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.turn(zone, energy_uj)

    def turn(self, zone: str, energy_uj: int) -> None:
        (self.path / zone / "energy_uj").write_text(f"{energy_uj}\n")


@pytest.fixture
def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zones:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    return Zones(tmp_path)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which reads everything."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_packages_and_dram_are_read_and_nothing_twice(zones: Zones) -> None:
    zones.add("intel-rapl:0", "package-0")
    zones.add("intel-rapl:0/intel-rapl:0:0", "core")
    zones.add("intel-rapl:0/intel-rapl:0:1", "uncore")
    zones.add("intel-rapl:0/intel-rapl:0:2", "dram")
    zones.add("intel-rapl:1", "package-1")
    zones.add("intel-rapl:2", "psys")
    zones.add("intel-rapl-mmio:0", "package-0")
    sensors = [meter.sensor for meter in rapl.find(SETUP).meters]
    assert [(sensor.device.split(":")[0], sensor.kind) for sensor in sensors] == [
        ("package-0", "cpu"),
        ("package-0 dram", "dram"),
        ("package-1", "cpu"),
    ]
    assert {sensor.source for sensor in sensors} == {"counter"}


def test_dies_of_a_package_are_packages_of_their_own(zones: Zones) -> None:
    zones.add("intel-rapl:0", "package-0-die-0")
    zones.add("intel-rapl:1", "package-0-die-1")
    devices = {meter.sensor.device.split(":")[0] for meter in rapl.find(SETUP).meters}
    assert devices == {"package-0-die-0", "package-0-die-1"}


def test_joules_count_on_over_every_wrap(zones: Zones) -> None:
    zones.add("intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    [meter] = rapl.find(SETUP).meters
    truth_uj, position = 0, RANGE_UJ - 1_000_000
    for step_uj in (400_000, 3_000_000, RANGE_UJ // 2, RANGE_UJ // 2, RANGE_UJ // 2, 7):
        truth_uj += step_uj
        position = (position + step_uj) % (RANGE_UJ + 1)
        zones.turn("intel-rapl:0", position)
        assert meter.sample().value == pytest.approx(truth_uj * 1e-6, abs=1e-5)


def test_packages_and_dram_add_up(zones: Zones) -> None:
    zones.add("intel-rapl:0", "package-0")
    zones.add("intel-rapl:0/intel-rapl:0:0", "dram")
    meters = rapl.find(SETUP).meters
    first = [meter.sample() for meter in meters]
    zones.turn("intel-rapl:0", 5_000_000)
    zones.turn("intel-rapl:0/intel-rapl:0:0", 2_000_000)
    last = [meter.sample() for meter in meters]
    readings = tuple(
        Readings(
            meter.sensor,
            np.array([before.time_ns, after.time_ns]),
            np.array([before.value, after.value]),
            failures=0,
        )
        for meter, before, after in zip(meters, first, last, strict=True)
    )
    end_ns = max(sample.time_ns for sample in last)
    drawn = [curve.between(first[0].time_ns, end_ns) for curve in curves(Trace(readings))]
    assert sum(joules.energy_j for joules in drawn) == pytest.approx(7.0)


def test_without_permission_the_note_says_what_grants_it(zones: Zones) -> None:
    zones.add("intel-rapl:0", "package-0")
    zones.path.chmod(0o755)
    (zones.path / "intel-rapl:0" / "energy_uj").chmod(0)
    for parent in zones.path.parents[:2]:  # pytest's own folders, closed to others
        parent.chmod(0o755)
    with as_nobody():
        found = rapl.find(SETUP)
    assert found.meters == []
    assert "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" in (found.note or "")


def test_a_counter_that_goes_away_is_a_failed_reading(zones: Zones) -> None:
    zones.add("intel-rapl:0", "package-0", 10)
    [meter] = rapl.find(SETUP).meters
    (zones.path / "intel-rapl:0" / "energy_uj").unlink()
    sample = meter.sample()
    assert sample.value is None
    assert "FileNotFoundError" in (sample.error or "")


@pytest.mark.parametrize("content", ["", "not a number\n"])
def test_a_broken_counter_is_a_note_and_no_exception(zones: Zones, content: str) -> None:
    zones.add("intel-rapl:0", "package-0")
    (zones.path / "intel-rapl:0" / "energy_uj").write_text(content)
    found = rapl.find(SETUP)
    assert found.meters == []
    assert "ValueError" in (found.note or "")


@pytest.mark.usefixtures("zones")
def test_a_machine_without_rapl_says_so() -> None:
    assert rapl.find(SETUP).note == "rapl: no counters on this machine"
