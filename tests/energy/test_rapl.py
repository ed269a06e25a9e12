"""RAPL: packages and DRAM only, wrapped counters, and what to do where reading is not permitted."""

from __future__ import annotations

import os
import time

import pytest

from harness.energy.integration.windows import curves
from harness.energy.sensors import rapl, sysfs
from harness.energy.sensors.base import Found, MeterSetup, SensorError
from harness.energy.trace import read_trace
from tests.fakes.rapl import RANGE_UJ, FakeRapl, server

SECOND = 1_000_000_000
PACKAGE = {"intel-rapl:0": "package-0"}


def find() -> Found:
    return rapl.find(MeterSetup(os.getpid(), None, 4.0, ""))


@pytest.mark.parametrize("dies", [1, 2])
def test_packages_and_dram_are_read_and_nothing_twice(powercap, dies) -> None:
    FakeRapl(powercap, server(dies))
    sensors = [meter.sensor for meter in find().meters]
    found = sorted((sensor.device.split(":")[0], sensor.kind) for sensor in sensors)
    names = [
        f"package-{package}" + (f"-die-{die}" if dies > 1 else "")
        for package in range(2)
        for die in range(dies)
    ]
    expected = [(f"{name} dram", "dram") for name in names] + [(name, "cpu") for name in names]
    assert found == sorted(expected)


def test_figures_of_another_folder_are_called_simulated(powercap, tmp_path, monkeypatch) -> None:
    FakeRapl(powercap, PACKAGE)
    assert find().meters[0].sensor.source == "simulated"
    monkeypatch.delenv(rapl.ELSEWHERE)
    FakeRapl(tmp_path / "real", PACKAGE)
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path / "real")
    assert find().meters[0].sensor.source == "counter"


@pytest.mark.parametrize(
    ("kind", "source"), [("sysfs sysfs", "counter"), ("tmpfs sysfs", "simulated")]
)
def test_the_kernels_folder_is_real_wherever_it_is_mounted(
    kind, source, powercap, tmp_path, monkeypatch
) -> None:
    FakeRapl(powercap, PACKAGE)
    device = powercap.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:21 / /proc rw shared:5 - proc proc rw\n"
        f"36 35 {number} / /host/sys ro master:1 - {kind} rw\n"
    )
    monkeypatch.setattr(sysfs, "MOUNTS", mounts)
    assert find().meters[0].sensor.source == source


def test_a_bad_zone_hides_no_other(powercap) -> None:
    fake = FakeRapl(powercap, {f"intel-rapl:{n}": f"package-{n}" for n in range(4)}, 50.0)
    (powercap / "intel-rapl:0" / "max_energy_range_uj").unlink()
    (powercap / "intel-rapl:1" / "max_energy_range_uj").write_text("0\n")
    fake["intel-rapl:2"].energy_file.write_text("")
    found = find()
    names = [meter.sensor.name.rsplit(", ")[-1] for meter in found.meters]
    assert names == ["package-0", "package-1", "package-3"]
    for name in ("package-0", "package-1", "package-2"):
        assert any(name in note for note in found.notes)
    before_j = [meter.read() for meter in found.meters]
    fake.turn_to(2 * SECOND)
    after_j = [meter.read() for meter in found.meters]
    assert [b - a for a, b in zip(before_j, after_j, strict=True)] == pytest.approx([100.0] * 3)


def test_joules_count_on_over_every_wrap(powercap) -> None:
    fake = FakeRapl(powercap, PACKAGE, 0.0)
    zone = fake["intel-rapl:0"]
    zone.offset_uj = RANGE_UJ - 1_000_000
    zone.turn_to(0)
    [meter] = find().meters
    began_j, truth_uj = meter.read(), 0
    for step_uj in (400_000, 3_000_000, RANGE_UJ // 2, RANGE_UJ // 2, RANGE_UJ // 2, 7):
        truth_uj += step_uj
        zone.offset_uj += step_uj
        zone.turn_to(0)
        assert meter.read() - began_j == pytest.approx(truth_uj * 1e-6, abs=1e-5)


def test_joules_through_the_recorder_are_the_true_ones_across_wraps(powercap, start, trace) -> None:
    """The counter wraps about every 0.4 s."""
    zones = {**PACKAGE, "intel-rapl:0:0": "dram"}
    watts = {"intel-rapl:0": 80.0, "intel-rapl:0:0": 10.0}
    fake = FakeRapl(powercap, zones, watts, range_uj=32_000_000)
    with fake.turning():
        recorder = start("rapl", "estimate", period_s=0.05)
        begin = time.monotonic_ns()
        time.sleep(0.5)
        fake["intel-rapl:0"].draw(160.0)
        time.sleep(0.7)
        end = time.monotonic_ns()
        time.sleep(0.1)
        recorder.stop()
    found = curves(read_trace(trace), (begin, end))
    assert {curve.sensor.source for curve in found} == {"simulated"}
    drawn_j = sum(curve.between(begin, end).energy_j for curve in found)
    truth_j = sum(zone.truth_j(begin, end) for zone in fake.zones.values())
    assert truth_j > 150
    assert drawn_j == pytest.approx(truth_j, rel=0.05)


def test_the_recorder_reads_it_at_its_period_and_not_closely(powercap, start, trace) -> None:
    with FakeRapl(powercap, PACKAGE, 80.0).turning():
        recorder = start("rapl", period_s=0.1)
        time.sleep(1)
        recorder.stop()
    (readings,) = read_trace(trace).readings
    assert 3 <= len(readings.value) <= 10 + 1 + 10


def test_without_permission_the_note_says_what_grants_it(powercap) -> None:
    fake = FakeRapl(powercap, PACKAGE)
    fake.forbid()
    with fake.as_nobody():
        found = find()
    assert found.meters == []
    (note,) = found.notes
    assert "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" in note
    fake.permit()
    with fake.as_nobody():
        assert len(find().meters) == 1


def test_a_counter_that_goes_away_is_a_failed_reading(powercap) -> None:
    fake = FakeRapl(powercap, PACKAGE)
    [meter] = find().meters
    fake["intel-rapl:0"].energy_file.unlink()
    with pytest.raises(SensorError, match="FileNotFoundError"):
        meter.read()
    fake.turn_to(4 * SECOND)
    assert meter.read() == pytest.approx(200)


@pytest.mark.parametrize("content", ["", "not a number\n"])
def test_a_broken_counter_is_a_note_and_no_exception(powercap, content) -> None:
    FakeRapl(powercap, PACKAGE)["intel-rapl:0"].energy_file.write_text(content)
    found = find()
    assert found.meters == []
    assert "ValueError" in found.notes[0]


def test_a_machine_without_rapl_says_so(powercap) -> None:
    assert not powercap.exists()
    assert find().notes == ("rapl: no counters on this machine",)
