"""A driver that answers with errors, each code at each call: all is reported, nothing else lost."""

from __future__ import annotations

import os

import pynvml
import pytest

from harness.energy.integration.windows import curves
from harness.energy.sensors import nvml
from harness.energy.sensors.base import Found, Meter, MeterSetup, SensorError
from tests.energy.conftest import BEGINS_NS
from tests.energy.virtual import SECOND, gpu_meters, record

CODES = [1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 28, 999]
"""Every code that a driver is known to answer with."""
CALLS = [
    "nvmlDeviceGetHandle",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetArchitecture",
    "",
]
"""What is asked of a GPU to find its meters."""


def find(gpus: tuple[str, ...] | None = None) -> Found:
    return nvml.find(MeterSetup(os.getpid(), gpus, 4.0, ""))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlSystemGetDriverVersion"])
def test_a_driver_that_fails_gives_no_meter_and_a_note(virtual, call, code) -> None:
    virtual(gpus=2).fault(code, call)
    found = find()
    assert found.meters == []
    assert found.notes
    assert all(str(pynvml.NVMLError(code)) in note for note in found.notes)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("call", CALLS)
def test_a_gpu_that_fails_hides_no_other(virtual, call, code) -> None:
    machine = virtual(gpus=2)
    machine.fault(code, call, gpu=0)
    found = find()
    other = [m for m in found.meters if m.sensor.device == machine.gpus[1].uuid]
    failing = [m for m in found.meters if m.sensor.device == machine.gpus[0].uuid]
    assert [meter.read() > 0 for meter in other] == [True] * 3
    lost = len(failing) < 3
    notes = [note for note in found.notes if str(pynvml.NVMLError(code)) in note]
    errors = [error for meter in failing if (error := error_of(meter))]
    assert all(error == str(pynvml.NVMLError(code)) for error in errors)
    usage_instead = code in (3, 13) and call == "nvmlDeviceGetFieldValues"
    counter_alone = code in (3, 13) and call == "nvmlDeviceGetTotalEnergyConsumption"
    assert not lost or notes or usage_instead or counter_alone
    assert all("GPU 0" in note for note in found.notes)


@pytest.mark.parametrize("code", [2, 4, 10, 28])
def test_a_reading_that_fails_hides_no_other_of_its_board(virtual, code) -> None:
    machine = virtual()
    machine.fault(code, "nvmlDeviceGetTotalEnergyConsumption")
    found = find()
    assert [meter.sensor.quantity for meter in found.meters] == ["power", "power"]
    assert found.notes == (f"nvml: GPU 0: energy of the device: {pynvml.NVMLError(code)}",)


def error_of(meter: Meter) -> str:
    try:
        meter.read()
    except SensorError as failure:
        return str(failure)
    return ""


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("fields_supported", [0, 1])
def test_a_failing_reading_says_why(virtual, fields_supported, code) -> None:
    machine = virtual(gpus=2, fields_supported=fields_supported)
    meters = find().meters
    machine.fault(code, gpu=0)
    for meter in meters:
        is_hit = meter.sensor.device == machine.gpus[0].uuid
        assert error_of(meter) == (str(pynvml.NVMLError(code)) if is_hit else "")


@pytest.mark.parametrize("number", [0, 1], ids=["counter", "power"])
def test_an_unknown_error_is_asked_once_more(virtual, number) -> None:
    machine = virtual()
    meter = find().meters[number]
    # The first answer takes the machine past the fault.
    machine.fault(999, until_ns=machine.clock_ns + 1, hang_ms=1)
    assert error_of(meter) == ""
    machine.clear_faults()
    machine.fault(999, until_ns=machine.clock_ns + 1_500_000, hang_ms=1)
    assert error_of(meter) == "Unknown Error"
    assert error_of(meter) == ""


def test_another_error_is_not_asked_again_at_once(virtual) -> None:
    machine = virtual()
    meter = find().meters[0]
    machine.fault(10, until_ns=machine.clock_ns + 1, hang_ms=1)
    assert error_of(meter) == str(pynvml.NVMLError(10))


def test_a_gpu_lost_before_the_start_hides_only_itself(virtual) -> None:
    machine = virtual(gpus=3)
    machine.fault(15, gpu=1)
    found = find()
    assert {meter.sensor.device for meter in found.meters} == {
        machine.gpus[0].uuid,
        machine.gpus[2].uuid,
    }
    assert found.notes == ("nvml: GPU 1: GPU is lost",)
    assert len(found.observers) == 2


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("over_s", [0.5, 60], ids=["for a moment", "for good"])
def test_a_gpu_that_fails_in_a_recording_is_reported_and_the_other_is_still_read(
    virtual, over_s, code
) -> None:
    machine = virtual(gpus=2, power_update_ms=20, power_window_ms=20)
    start, end = BEGINS_NS + 10 * SECOND, BEGINS_NS + 20 * SECOND
    fails = start + 4 * SECOND
    machine.fault(code, gpu=0, from_ns=fails, until_ns=fails + round(over_s * SECOND))
    trace, lines = record(machine, gpu_meters(), [start, end])
    failed = [line for line in lines if isinstance(line, list) and line[2] is None]
    assert {line[0] for line in failed} <= {0, 1, 2}
    assert {line[3] for line in failed} == {str(pynvml.NVMLError(code))}
    drawn = {c.sensor.device: c.between(start, end) for c in curves(trace, (start, end))}
    lost, other = (drawn[gpu.uuid] for gpu in machine.gpus)
    assert other.energy_j == pytest.approx(2000, rel=0.01)
    assert other.coverage == 1
    if over_s < 1:
        assert lost.energy_j == pytest.approx(2000, rel=0.02)
    else:
        assert lost.coverage == pytest.approx(0.4, abs=0.05)
        assert lost.gap_j > 500
        assert lost.energy_j == pytest.approx(2000, abs=lost.uncertainty_j)
