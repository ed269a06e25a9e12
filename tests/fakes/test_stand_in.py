"""The stand-in's calls: found, faulty, hidden, and the same for every process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pynvml
import pytest

from tests.fakes import layout
from tests.fakes.reader import MS, NOW, SECOND, counter_j, field, handle, usage_w, wild


def test_both_languages_agree_on_the_state(library) -> None:
    assert ctypes.CDLL(str(library)).standin_size() == ctypes.sizeof(layout.Machine)
    names = list(layout.GPU_SETTINGS)
    assert (names[0], names[-1]) == ("counter_supported", "lost_start_ns")  # the whole list


def test_faults_hold_for_calls_gpus_and_times(make) -> None:
    machine = make(gpus=2)
    first, second = handle(0), handle(1)
    machine.fault(15, call="nvmlDeviceGetPower", gpu=1, from_ns=NOW + 1, until_ns=NOW + 3)
    for moment_ns, lost in [(0, False), (1, True), (2, True), (3, False)]:
        machine.clock_ns = NOW + moment_ns
        pynvml.nvmlDeviceGetPowerUsage(first)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(second)
        if lost:
            with pytest.raises(pynvml.NVMLError_GpuIsLost):
                pynvml.nvmlDeviceGetPowerUsage(second)
        else:
            pynvml.nvmlDeviceGetPowerUsage(second)
    machine.fault(999)
    for call in (pynvml.nvmlInit, pynvml.nvmlDeviceGetCount, pynvml.nvmlSystemGetDriverVersion):
        with pytest.raises(pynvml.NVMLError_Unknown):
            call()
    machine.clear_faults()
    assert pynvml.nvmlDeviceGetCount() == 2


def test_a_hanging_call_takes_its_time(make) -> None:
    machine = make()
    wild(machine)
    machine.fault(0, call="nvmlDeviceGetTotalEnergy", hang_ms=2000)
    energy_j = counter_j()
    assert machine.clock_ns == NOW + 2 * SECOND
    assert energy_j == pytest.approx(machine.gpus[0].truth_j(0, machine.clock_ns), abs=0.001)


def test_fields_have_codes_and_scopes_of_their_own(make) -> None:
    machine = make(power_w=200)
    ids = [pynvml.NVML_FI_DEV_ENERGY, pynvml.NVML_FI_DEV_POWER_INSTANT]
    ids += [pynvml.NVML_FI_DEV_NVLINK_LINK_COUNT, (pynvml.NVML_FI_DEV_POWER_INSTANT, 2)]
    values = pynvml.nvmlDeviceGetFieldValues(handle(), ids)
    assert [each.nvmlReturn for each in values] == [0, 0, 3, 3]
    assert values[0].valueType == pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
    assert (values[0].value.ullVal, values[1].value.uiVal) == (200 * 50_000, 200_000)
    machine.gpus[0].memory_power_share = 0.25
    machine.gpus[0].module_extra_w = 120
    assert [field(186, scope).value.uiVal for scope in range(3)] == [200_000, 320_000, 50_000]
    assert (machine.gpus[0].counter_reads, machine.gpus[0].power_reads) == (1, 4)
    machine.gpus[0].throttle_power_ns = 7 * SECOND
    assert field(pynvml.NVML_FI_DEV_PERF_POLICY_POWER).value.ullVal == 7 * SECOND
    machine.gpus[0].fields_supported = 0
    values = pynvml.nvmlDeviceGetFieldValues(handle(), ids)
    assert [each.nvmlReturn for each in values] == [3, 3, 3, 3]
    assert usage_w() == 200


def test_what_is_not_supported_says_so(make) -> None:
    machine = make(counter_supported=0, power_supported=0)
    for call in (counter_j, usage_w):
        with pytest.raises(pynvml.NVMLError_NotSupported):
            call()
    assert {field(each).nvmlReturn for each in (83, 185, 186, 191)} == {3}
    idle = pynvml.nvmlClocksEventReasonGpuIdle
    assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle()) == idle
    machine.gpus[0].event_reasons_supported = 0
    machine.gpus[0].throttle_reasons = 0x4
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle())
    assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle()) == 0x4


def test_slices_have_names_and_no_power(make) -> None:
    machine = make(gpus=2)
    assert pynvml.nvmlDeviceGetMigMode(handle(1)) == [0, 0]
    machine.gpus[1].mig = 1
    assert pynvml.nvmlDeviceGetMigMode(handle(1)) == [1, 1]
    count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle(1))
    slices = [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle(1), each) for each in range(count)]
    uuids = [pynvml.nvmlDeviceGetUUID(each) for each in slices]
    assert len(set(uuids)) == 2
    assert all(uuid.startswith("MIG-") for uuid in uuids)
    for uuid in uuids:
        found = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        assert pynvml.nvmlDeviceIsMigDeviceHandle(found).value == 1
        board = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(found)
        assert pynvml.nvmlDeviceGetIndex(board) == 1
        for read in (
            pynvml.nvmlDeviceGetPowerUsage,
            pynvml.nvmlDeviceGetTotalEnergyConsumption,
            lambda of: pynvml.nvmlDeviceGetFieldValues(of, [186]),
        ):
            with pytest.raises(pynvml.NVMLError_NotSupported):
                read(found)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle(0), 0)


def test_a_gpu_is_found_by_every_name(make) -> None:
    machine = make(gpus=12)
    machine.gpus[11].uuid = "GPU-11"
    for found in (
        handle(11),
        pynvml.nvmlDeviceGetHandleByUUID("GPU-11"),
        pynvml.nvmlDeviceGetHandleByPciBusId("00000000:0C:00.0"),
        pynvml.nvmlDeviceGetHandleByPciBusId("0000:0c:00.0"),
        pynvml.nvmlDeviceGetHandleBySerial("1011"),
    ):
        assert pynvml.nvmlDeviceGetIndex(found) == 11
        assert pynvml.nvmlDeviceGetPciInfo(found).bus == 12
        assert pynvml.nvmlDeviceGetName(found) == machine.gpus[11].name == "Stand-in GPU 11"
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        handle(12)
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetName(None)


def test_settings_are_live_and_none_is_misspelt(make) -> None:
    machine = make(temperature_c=55)
    gpu = machine.gpus[0]
    assert pynvml.nvmlDeviceGetTemperature(handle(), 0) == 55
    gpu.processes = {os.getpid(): 3 << 30, 4711: 1 << 30}
    running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle())
    assert {each.pid: each.usedGpuMemory for each in running} == gpu.processes
    gpu.processes_hidden = 1
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle()) == []
    gpu.clock_mhz, gpu.clock_max_mhz = 900, 1410
    assert pynvml.nvmlDeviceGetClockInfo(handle(), pynvml.NVML_CLOCK_SM) == 900
    assert pynvml.nvmlDeviceGetMaxClockInfo(handle(), pynvml.NVML_CLOCK_SM) == 1410
    assert pynvml.nvmlSystemGetDriverVersion().startswith("stand-in")
    machine.driver = "580.65.06"
    assert pynvml.nvmlSystemGetDriverVersion() == "580.65.06"
    with pytest.raises(AttributeError, match="counter_update"):
        gpu.counter_update_s = 1
    with pytest.raises(AttributeError, match="power"):
        make(power=3)


def test_each_machine_in_a_process_follows_the_one_before(make) -> None:
    make(power_w=10)
    assert usage_w() == 10
    make(power_w=20)
    assert usage_w() == 20


READ = """
import pynvml
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(1)
print(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), pynvml.nvmlDeviceGetPowerUsage(handle))
"""


def in_another_process(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", READ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_process_sees_the_same_and_is_seen(make, library) -> None:
    machine = make(gpus=2, noise=0.1, noise_seed=5)
    machine.gpus[1].draw(321, NOW)
    machine.clock_ns = NOW + 900 * MS
    own = f"{counter_j(1) * 1000:.0f} {usage_w(1) * 1000:.0f}"
    assert in_another_process(machine.environment(library)).stdout.strip() == own
    assert (machine.gpus[1].counter_reads, machine.gpus[1].power_reads) == (2, 2)


@pytest.mark.parametrize("path", ["", "does-not-exist"])
def test_without_a_state_there_is_no_driver(make, library, path) -> None:
    environment = {**make().environment(library), "STANDIN_STATE": path}
    assert "NVMLError_DriverNotLoaded" in in_another_process(environment).stderr


def test_another_layout_is_refused(make, library) -> None:
    machine = make()
    stale = machine.path.with_name("stale")
    stale.write_bytes(machine.path.read_bytes()[:-8])
    environment = {**machine.environment(library), "STANDIN_STATE": str(stale)}
    assert "LibRmVersionMismatch" in in_another_process(environment).stderr.replace("_", "")


def test_real_time_runs(make) -> None:
    machine = make(power_w=200, counter_update_ms=0)
    machine.clock_ns = 0
    before_ns = machine.now_ns()
    energy_j = counter_j()
    after_ns = machine.now_ns()
    truth_j = machine.gpus[0].truth_j
    assert truth_j(0, before_ns) - 0.002 <= energy_j <= truth_j(0, after_ns) + 0.002
