"""Other makers' devices through Zeus: its GPU layer on a stand-in, and a chip of known parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.energy.health import Health
from harness.energy.sensors import zeus_devices
from harness.energy.sensors.base import MeterSetup, SensorError
from harness.energy.sensors.discover import finder
from harness.energy.trace import Trace
from tests.energy.traces import readings
from tests.fakes.stand_in import StandIn

SECOND = 1_000_000_000
SETUP = MeterSetup(1, None, 4.0, "")


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> StandIn:
    made = StandIn(tmp_path / "state", power_w=[200.0, 50.0], clock_ns=10 * SECOND)
    for gpu in made.gpus:
        gpu.name = "Stand-in GPU"  # Zeus refuses a mixture
    made.load(library)
    yield made
    made.close()


@dataclasses.dataclass
class Parts:
    """What a chip has drawn so far, in mJ, as Zeus' measurements are."""

    cpu_total_mj: int | None = 3000
    gpu_mj: int | None = 2000
    dram_mj: int | None = None
    cpu_energy_mj: float | None = 3500
    gpu_energy_mj: float | None = 2500
    total_energy_mj: int | None = 7000


class Chip:
    def __init__(self, *offered: str) -> None:
        self._offered = set(offered)

    def get_available_metrics(self) -> set[str]:
        return self._offered

    def get_total_energy_consumption(self) -> Parts:
        return Parts()


def test_gpus_are_read_in_joules_and_watts_each_as_itself(machine: StandIn) -> None:
    from zeus.device.gpu.nvidia import NVIDIAGPUs

    meters = zeus_devices.gpu_meters(NVIDIAGPUs())
    assert [m.sensor.quantity for m in meters] == ["energy", "power"] * 2
    before = [meter.read() for meter in meters]
    machine.clock_ns += 3 * SECOND
    after = [meter.read() for meter in meters]
    assert after[0] - before[0] == pytest.approx(600)
    assert after[2] - before[2] == pytest.approx(150)
    assert (after[1], after[3]) == (200, 50)
    assert len({meter.sensor.device for meter in meters}) == 2


def test_a_lost_gpu_is_a_failed_reading(machine: StandIn) -> None:
    from zeus.device.gpu.nvidia import NVIDIAGPUs

    meters = zeus_devices.gpu_meters(NVIDIAGPUs())
    machine.fault(15, gpu=0)
    with pytest.raises(SensorError, match="Lost"):
        meters[0].read()
    assert meters[2].read() > 0


def test_the_parts_of_a_chip_add_up_and_nothing_twice() -> None:
    parts = zeus_devices.soc_meters(Chip("cpu_total_mj", "gpu_mj", "performance_cores_mj"))
    assert {m.sensor.kind: m.read() for m in parts} == {"cpu": 3.0, "gpu": 2.0}


def test_a_jetsons_total_is_the_modules() -> None:
    offered = ("total_energy_mj", "cpu_energy_mj", "gpu_energy_mj")
    (whole,) = zeus_devices.soc_meters(Chip(*offered))
    assert (whole.read(), whole.sensor.kind) == (7.0, "module")
    assert "CPU and memory" in whole.sensor.note
    parts = zeus_devices.soc_meters(Chip(*offered[1:]))
    assert {m.sensor.kind: m.read() for m in parts} == {"cpu": 3.5, "gpu": 2.5}


@pytest.mark.usefixtures("machine")
def test_a_power_whose_window_is_unknown_is_not_taken_to_see_all() -> None:
    from zeus.device.gpu.nvidia import NVIDIAGPUs

    _, power, *_ = zeus_devices.gpu_meters(NVIDIAGPUs())
    times_s = np.arange(0, 10, 0.02)
    read = readings(list(times_s), list(200 + np.round(times_s * 10) % 2), power.sensor)
    flags = Health(Trace((read,)), SECOND, 9 * SECOND).flags
    assert any("sees only an unknown part of the time" in flag for flag in flags)


def test_a_part_without_a_figure_is_a_failed_reading() -> None:
    (memory,) = zeus_devices.soc_meters(Chip("dram_mj"))
    with pytest.raises(SensorError, match="no figure"):
        memory.read()


def test_a_machine_without_such_devices_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's boards are NVML's to read: counted here as well, they would be counted twice."""
    monkeypatch.setattr(zeus_devices, "SIGNS", ())
    monkeypatch.setattr(zeus_devices.sys, "platform", "linux")
    found = finder("zeus")(SETUP)
    assert (found.meters, found.notes) == ([], ())


@pytest.mark.usefixtures("machine")
def test_nvidias_boards_are_left_to_nvml(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zeus_devices, "SIGNS", (tmp_path,))
    assert zeus_devices.find(SETUP).meters == []
