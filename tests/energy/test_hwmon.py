"""Power and energy under /sys/class/hwmon, and of a Raspberry Pi's power chip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from harness.energy.sensors import hwmon, raspberry_pi, sysfs
from harness.energy.sensors.base import Found, MeterSetup, SensorError
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.fakes.hwmon import PCI, FakeChip

SETUP = MeterSetup(os.getpid(), (), 4.0, "")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is read in place of /sys."""
    monkeypatch.setenv(sysfs.ELSEWHERE, str(tmp_path))
    (tmp_path / "class/hwmon").mkdir(parents=True)
    return tmp_path


def found(root: Path) -> Found:
    assert os.environ[sysfs.ELSEWHERE] == str(root)
    return hwmon.find(SETUP)


def test_an_acpi_meter_measures_the_machine(root) -> None:
    chip = FakeChip(root, "power_meter", power1_average=120_000_000, power1_average_interval=1000)
    clock = Clock()
    [meter] = found(root).meters
    assert (meter.sensor.kind, meter.sensor.window_s) == ("machine", 1.0)
    trace, borders = watch(chip, [meter], clock, [30, 20, 40], [150, 320, 90])
    for start_ns, end_ns in pairwise(borders):
        joules = measured(trace, start_ns, end_ns).joules
        off_j = joules.energy_j - chip.power.truth_j(start_ns, end_ns)
        assert abs(off_j) < joules.uncertainty_j
        assert joules.energy_j == pytest.approx(chip.power.truth_j(start_ns, end_ns), rel=0.06)


@pytest.mark.parametrize(("driver", "label"), [("i915", ""), ("xe", "card")])
def test_an_intel_gpu_counts_over_the_wrap_of_its_register(root, driver, label) -> None:
    chip = FakeChip(root, driver, energy1_input=0, **({"energy1_label": label} if label else {}))
    range_uj = int(hwmon.REGISTER_J * 1e6)
    chip.write("energy1_input", range_uj - 5_000_000)
    [meter] = found(root).meters
    assert (meter.sensor.kind, meter.sensor.quantity) == ("gpu", "energy")
    assert PCI in meter.sensor.device
    before_j = meter.read()
    chip.write("energy1_input", 7_000_000)
    assert meter.read() - before_j == pytest.approx(12.0, abs=1e-3)


def test_the_package_of_an_intel_gpu_is_a_part_of_its_card(root) -> None:
    chip = FakeChip(root, "xe", energy1_input=5, energy1_label="card")
    chip.write("energy2_input", 3)
    chip.write("energy2_label", "pkg")
    assert len(found(root).meters) == 1


def test_an_amd_gpu_is_read_and_a_processor_s_part_is_not(root) -> None:
    chip = FakeChip(root, "amdgpu", power1_average=180_000_000, power1_cap_max=300_000_000)
    chip.write("device/mem_info_vram_total", 16 * 1024**3)
    [meter] = found(root).meters
    assert (meter.sensor.kind, meter.read()) == ("gpu", pytest.approx(180))
    chip.write("device/mem_info_vram_total", 512 * 1024**2)
    [note] = found(root).notes
    assert "part of the processor" in note


def test_a_jetson_s_input_is_the_board_s(root) -> None:
    chip = FakeChip(root, "ina3221", in1_label="VDD_IN", in1_input=5080, curr1_input=1200)
    chip.write("in2_label", "VDD_CPU_GPU_CV")
    chip.write("in2_input", 5072)
    chip.write("curr2_input", 400)
    [meter] = found(root).meters
    assert meter.sensor.kind == "machine"
    assert meter.read() == pytest.approx(5.08 * 1.2)


def test_other_chips_are_none_and_one_that_cannot_be_read_is_named(root) -> None:
    FakeChip(root, "coretemp", temp1_input=42_000)
    assert found(root) == Found([])
    FakeChip(root, "power_meter")
    assert "power1_average" in found(root).notes[0]


ADC = """\
   3V7_WL_SW_A current(0)=0.00390384A
     3V3_SYS_A current(1)=0.06441930A
     1V8_SYS_A current(2)=0.16591450A
    VDD_CORE_A current(7)=0.89780000A
   3V7_WL_SW_V volt(8)=3.65657800V
     3V3_SYS_V volt(9)=3.32094200V
     1V8_SYS_V volt(10)=1.80219600V
    VDD_CORE_V volt(15)=0.72180000V
      EXT5V_V volt(24)=5.14832000V
       BATT_V volt(25)=0.00000000V
"""
"""As `vcgencmd pmic_read_adc` prints it (some of its rails)."""
RAILS_W = 0.00390384 * 3.656578 + 0.0644193 * 3.320942 + 0.1659145 * 1.802196 + 0.8978 * 0.7218


def command(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int = 0) -> None:
    """A `vcgencmd` on the PATH that prints this."""
    (folder / "adc").write_text(text)
    program = folder / "vcgencmd"
    program.write_text(f'#!/bin/sh\n[ "$1" = pmic_read_adc ] && cat {folder}/adc; exit {code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_raspberry_pi_is_the_sum_of_its_rails_by_the_published_fit(tmp_path, monkeypatch) -> None:
    command(tmp_path, monkeypatch, ADC)
    [meter] = raspberry_pi.find(SETUP).meters
    assert meter.sensor.kind == "machine"
    assert meter.read() == pytest.approx(1.1451 * RAILS_W + 0.5879)
    (tmp_path / "adc").write_text("")
    with pytest.raises(SensorError, match="no rails"):
        meter.read()


def test_an_older_raspberry_pi_is_named_and_other_machines_are_silent(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert raspberry_pi.find(SETUP) == Found([])
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    command(tmp_path, monkeypatch, "error=1 error_msg='Command not registered'", code=255)
    [note] = raspberry_pi.find(SETUP).notes
    assert "vcgencmd" in note


DUMP = """\
P: /devices/LNXSYSTM:00/ACPI000D:00/hwmon/hwmon0
E: SUBSYSTEM=hwmon
A: name=power_meter\\n
A: power1_average=312000000\\n
A: power1_average_interval=1000\\n

P: /devices/pci0000:00/0000:03:00.0/hwmon/hwmon1
E: SUBSYSTEM=hwmon
A: name=xe\\n
A: energy1_label=card\\n
A: energy1_input=1500000\\n
"""
"""Chips as `umockdev-record` writes them."""
READ = """
import json, os
from harness.energy.sensors import hwmon
from harness.energy.sensors.base import MeterSetup
meters = hwmon.find(MeterSetup(os.getpid(), (), 4.0, "")).meters
print(json.dumps([[meter.sensor.to_json(), meter.read()] for meter in meters]))
"""


@pytest.mark.skipif(shutil.which("umockdev-run") is None, reason="umockdev is not installed")
def test_under_the_real_path_they_are_sensors_of_this_machine(tmp_path) -> None:
    (tmp_path / "server.umockdev").write_text(DUMP)
    ended = subprocess.run(
        ["umockdev-run", "-d", tmp_path / "server.umockdev", "--", sys.executable, "-c", READ],
        capture_output=True,
        text=True,
        check=True,
    )
    [[machine, watts], [gpu, joules]] = json.loads(ended.stdout)
    assert (machine["kind"], machine["source"], watts) == ("machine", "sampled", 312)
    assert (gpu["kind"], gpu["source"], joules) == ("gpu", "counter", pytest.approx(1.5))
