"""What boards offer and how they are named, with a stand-in driver in this process."""

from __future__ import annotations

import os

import pytest

from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml, rapl
from harness.energy.sensors.base import Found, MeterSetup
from harness.energy.trace import trace_of
from harness.energy.window_energy import measured
from tests.energy.virtual import SECOND, Lines, VirtualSignals
from tests.fakes.rapl import FakeRapl


def find(gpus: tuple[str, ...] | None = None) -> Found:
    return nvml.find(MeterSetup(os.getpid(), gpus, 4.0, ""))


def kinds(found: Found) -> list[tuple[str, str, bool]]:
    """Quantity and part of each sensor, and whether it is averaged over more than it skips."""
    sensors = [meter.sensor for meter in found.meters]
    return [(s.quantity, s.part, s.window_s > s.update_s) for s in sensors]


def test_a_board_offers_its_counter_and_power_now_and_averaged(virtual) -> None:
    virtual()
    assert kinds(find()) == [
        ("energy", "device", False),
        ("power", "device", False),
        ("power", "device", True),
    ]


def test_readings_are_in_joules_and_watts(virtual) -> None:
    machine = virtual(power_w=123.0)
    energy, instant, averaged = find().meters
    update_ns = machine.clock_ns // 100_000_000 * 100_000_000
    assert energy.read() == pytest.approx(machine.gpus[0].truth_j(0, update_ns), abs=0.002)
    assert (instant.read(), averaged.read()) == (123.0, 123.0)


def test_without_field_values_the_old_usage_stands_in(virtual) -> None:
    virtual(fields_supported=0)
    found = find()
    assert [kind[0] for kind in kinds(found)] == ["energy", "power"]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("architecture", "capability", "averaged"),
    [
        (5, (7, 0), 0),
        (6, (7, 5), 0),
        (7, (8, 0), 0),
        (7, (8, 6), 1),
        (8, (8, 9), 1),
        (9, (9, 0), 1),
    ],
    ids=["Volta", "Turing", "A100", "consumer Ampere", "Ada", "Hopper"],
)
def test_whether_the_usage_is_averaged_follows_from_the_generation(
    virtual, architecture, capability, averaged
) -> None:
    major, minor = capability
    virtual(architecture=architecture, compute_major=major, compute_minor=minor, fields_supported=0)
    power = find().meters[1].sensor
    assert (power.window_s > power.update_s) == averaged
    assert ("average" in power.note) == averaged


@pytest.mark.parametrize(
    ("architecture", "capability", "timing"),
    [
        (4, (6, 0), (0.02, 0.01)),
        (5, (7, 0), (0.02, 0.01)),
        (6, (7, 5), (0.1, 0.1)),
        (7, (8, 0), (0.1, 0.025)),
        (7, (8, 6), (0.1, 0.1)),
        (9, (9, 0), (0.1, 0.025)),
        (99, (12, 0), (0.1, 0.025)),
    ],
    ids=["Pascal", "Volta", "Turing", "A100", "consumer Ampere", "Hopper", "to come"],
)
def test_instant_power_is_as_blind_as_its_generation(
    virtual, architecture, capability, timing
) -> None:
    virtual(architecture=architecture, compute_major=capability[0], compute_minor=capability[1])
    instant = find().meters[1].sensor
    assert (instant.update_s, instant.window_s) == timing


@pytest.mark.parametrize(
    ("driver", "sources"),
    [
        ("580.65.06", ["counter", "sampled", "sampled"]),
        ("535.54", ["counter", "sampled", "sampled"]),
        ("stand-in 2.0", ["simulated"] * 3),
        ("580.65-patched", ["simulated"] * 3),
    ],
)
def test_only_a_real_driver_measures(virtual, driver, sources) -> None:
    virtual().driver = driver
    assert [meter.sensor.source for meter in find().meters] == sources


def test_the_ceiling_is_the_limit_in_force_or_unknown(virtual) -> None:
    machine = virtual(power_limit_enforced_w=275)
    assert {meter.sensor.ceiling_w for meter in find().meters} == {275.0}
    machine.fault(3, "nvmlDeviceGetEnforcedPowerLimit")
    assert {meter.sensor.ceiling_w for meter in find().meters} == {None}


def test_twelve_gpus_are_each_read_as_themselves(virtual) -> None:
    """Index 10 is not GPU 1."""
    machine = virtual(power_w=[100.0 + number for number in range(12)])
    instant = {m.sensor.device: m for m in find().meters if m.sensor.quantity == "power"}
    expected = {gpu.uuid: 100.0 + number for number, gpu in enumerate(machine.gpus)}
    assert {device: meter.read() for device, meter in instant.items()} == expected
    backwards = tuple(gpu.uuid for gpu in reversed(machine.gpus))
    named = [m for m in find(backwards).meters if m.sensor.quantity == "power"][::2]
    assert [meter.read() for meter in named] == [111.0 - number for number in range(12)]


def test_a_slice_stands_for_its_whole_board_and_says_that_it_is_shared(virtual) -> None:
    machine = virtual(gpus=2, mig=1)
    found = find(("MIG-00000000-0000-0000-0001-000000000001",))
    assert {meter.sensor.device for meter in found.meters} == {machine.gpus[1].uuid}
    assert all("shared" in meter.sensor.note for meter in found.meters)
    assert found.meters[0].read() > 0
    whole = find((machine.gpus[1].uuid,))
    assert not any("shared" in meter.sensor.note for meter in whole.meters)


@pytest.mark.parametrize(
    ("gpus", "settings", "note"),
    [
        ((), {}, "nvml: the run uses no GPU"),
        (("GPU-unknown",), {}, "nvml: GPU GPU-unknown: Not Found"),
        (None, {"gpus": 0}, "nvml: the run uses no GPU"),
        (
            None,
            {"counter_supported": 0, "power_supported": 0},
            "nvml: GPU 0: offers neither energy nor power",
        ),
    ],
)
def test_a_note_says_why_no_gpu_is_read(virtual, gpus, settings, note) -> None:
    virtual(**settings)
    found = find(gpus)
    assert (found.meters, found.notes) == ([], (note,))


def test_an_unknown_gpu_does_not_hide_the_others(virtual) -> None:
    machine = virtual(gpus=2)
    found = find(("GPU-unknown", machine.gpus[1].uuid))
    assert len(found.meters) == 3
    assert len(found.notes) == 1


HOPPER, BLACKWELL = 9, 10


def test_the_counter_of_a_grace_hopper_is_the_modules_and_no_cpu_is_added(
    virtual, powercap
) -> None:
    machine = virtual(power_w=300.0, architecture=HOPPER, module_extra_w=120.0, counter_of_module=1)
    rapl_fake = FakeRapl(powercap, {"intel-rapl:0": "package-0"}, 100.0)
    gpu, cpu = find(), rapl.find(MeterSetup(os.getpid(), None, 4.0, ""))
    found = [(m.sensor.kind, m.sensor.quantity, m.sensor.part) for m in gpu.meters]
    assert found == [
        ("module", "energy", "device"),
        ("module", "power", "device"),
        ("module", "power", "device"),
        ("gpu", "power", "gpu"),
    ]
    assert all("CPU" in m.sensor.note for m in gpu.meters[:3])
    meters, log = [*gpu.meters, *cpu.meters], Lines()
    log.append({"sensors": [m.sensor.to_json() for m in meters], "notes": [], "period_s": 0.05})
    signals = VirtualSignals(machine, [])
    recording = Recording(meters, [], TraceWriter(log), signals, SECOND // 20)
    recording.get_to_know(SECOND)
    begin_ns, end_ns = machine.clock_ns, machine.clock_ns + 10 * SECOND
    signals.plan([begin_ns, end_ns], end_ns)
    rapl_fake.turn_to(end_ns)
    recording.read()
    result = measured(trace_of(log.lines), begin_ns, end_ns)
    assert [device.kind for device in result.devices] == ["module"]
    assert result.joules.energy_j == pytest.approx(4200, rel=0.01)
    assert not any("disagree" in flag for flag in result.flags)


def test_a_counter_of_unknown_scope_is_left_out(virtual) -> None:
    virtual(architecture=BLACKWELL, module_extra_w=120.0)
    found = find()
    assert {(m.sensor.kind, m.sensor.quantity) for m in found.meters} == {("gpu", "power")}
    assert any("not documented" in note for note in found.notes)
