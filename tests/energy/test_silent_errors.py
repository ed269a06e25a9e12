"""What other tools get wrong without a word, in virtual time; `test_visible.py` has the rest.

Each test is named after what must not happen unnoticed. The known power is the stand-in's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.energy.sensors.base import MeterSetup
from harness.energy.sensors.rapl import ELSEWHERE, find
from harness.energy.trace import Trace
from harness.energy.window_energy import Measured, measured
from tests.energy.scenarios import START_NS, machine
from tests.energy.virtual import SECOND, gpu_meters, record
from tests.fakes.fake_gpu import square
from tests.fakes.rapl import FakeRapl
from tests.fakes.stand_in import StandIn

BEGIN_NS = START_NS + 8 * SECOND + 37_000_000
"""Well after the recorder has come to know the sensors, and on no update of theirs."""


@pytest.fixture
def make(library: Path, tmp_path: Path) -> Iterator[object]:
    """Makes a machine of virtual time, in the driver's place within this process."""
    with ExitStack() as stack:

        def begin(power_w: Sequence[float], **settings: float) -> StandIn:
            return stack.enter_context(machine(library, tmp_path, power_w, **settings))

        yield begin


def found_in(made: StandIn, seconds: float, period_s: float = 0.05) -> tuple[Measured, Trace, int]:
    """What a window of so long, from BEGIN_NS on, is found to have drawn; trace and end."""
    end_ns = BEGIN_NS + round(seconds * SECOND)
    trace, _ = record(made, gpu_meters(), [BEGIN_NS, end_ns], period_s=period_s)
    return measured(trace, BEGIN_NS, end_ns), trace, end_ns


def truth_j(made: StandIn, start_ns: int, end_ns: int) -> float:
    return sum(gpu.truth_j(start_ns, end_ns) for gpu in made.gpus)


def beside_gain_j(found: Measured) -> float:
    return (found.joules.uncertainty_j**2 - found.joules.gain_j**2) ** 0.5


def test_a_reset_counter_gives_no_negative_energy_and_is_reported(make) -> None:
    made = make([250.0])
    made.gpus[0].reset_ns = BEGIN_NS + 4 * SECOND + 12_000_000
    found, _, end_ns = found_in(made, 10)
    true_j = truth_j(made, BEGIN_NS, end_ns)
    assert true_j == pytest.approx(2500)
    assert abs(found.joules.energy_j - true_j) <= min(beside_gain_j(found), 0.05 * true_j)
    assert any("set back" in flag for flag in found.flags)


def test_a_lost_gpu_lowers_the_coverage_and_not_the_energy(make) -> None:
    made = make([300.0])
    made.fault(15, gpu=0, from_ns=BEGIN_NS + 4 * SECOND)
    found, _, end_ns = found_in(made, 10)
    true_j = truth_j(made, BEGIN_NS, end_ns)
    assert found.joules.coverage == pytest.approx(0.4, abs=0.03)
    assert abs(found.joules.energy_j - true_j) <= min(beside_gain_j(found), 0.05 * true_j)
    assert found.joules.uncertainty_j > 0.2 * true_j
    assert any("readings failed" in flag for flag in found.flags)


def test_a_lost_gpu_leaves_the_others_as_they_were(make) -> None:
    made = make([300.0, 100.0])
    made.fault(15, gpu=0, from_ns=BEGIN_NS + 4 * SECOND)
    found, _, _ = found_in(made, 10)
    lost, other = found.devices
    assert other.joules.coverage == pytest.approx(1)
    assert other.joules.energy_j == pytest.approx(1000, rel=1e-3)
    assert lost.joules.coverage == found.joules.coverage < 0.5


@pytest.mark.parametrize("counter", [0, 1])
@pytest.mark.parametrize("count", [4, 12])
def test_gpus_of_different_power_each_count_once(count, counter, make) -> None:
    powers_w = [50.0 + 17 * number for number in range(count)]
    found, _, _ = found_in(make(powers_w, counter_supported=counter), 10)
    assert [each.id[-3:] for each in found.devices] == [f"{n:03d}" for n in range(count)]
    energies_j = [each.joules.energy_j for each in found.devices]
    assert energies_j == pytest.approx([10 * power_w for power_w in powers_w], rel=2e-3)
    assert found.joules.energy_j == pytest.approx(10 * sum(powers_w), rel=2e-3)


def test_a_window_inside_a_window_takes_nothing_from_it(make) -> None:
    made = make([80.0])
    inner_ns = (BEGIN_NS + 3 * SECOND + 40_000_000, BEGIN_NS + 5 * SECOND + 71_000_000)
    made.gpus[0].draw(400.0, inner_ns[0])
    made.gpus[0].draw(120.0, inner_ns[1])
    end_ns = BEGIN_NS + 10 * SECOND
    borders = [BEGIN_NS, *inner_ns, end_ns]
    trace, _ = record(made, gpu_meters(), borders)
    outer, inner = measured(trace, BEGIN_NS, end_ns), measured(trace, *inner_ns)
    true_j = truth_j(made, BEGIN_NS, end_ns)
    assert outer.joules.energy_j == pytest.approx(true_j, rel=2e-3)
    assert inner.joules.energy_j == pytest.approx(truth_j(made, *inner_ns), rel=5e-3)


@pytest.mark.parametrize("counter", [0, 1])
def test_power_that_never_changes_is_energy(counter, make) -> None:
    """Readings that are all equal are readings, though the recorder need not write them all."""
    found, _, _ = found_in(make([222.0], counter_supported=counter), 60)
    assert found.joules.energy_j == pytest.approx(60 * 222, rel=1e-3)
    assert found.joules.coverage == pytest.approx(1)


def test_a_counter_that_loses_energy_when_read_fast_is_found_out(make) -> None:
    made = make([300.0], read_cost_ms=1.9)
    found, trace, end_ns = found_in(made, 10)
    assert set(trace.falsified) == {0}
    assert trace.falsified[0] > 0.5
    assert found.joules.energy_j == pytest.approx(truth_j(made, BEGIN_NS, end_ns), rel=5e-3)
    assert any("loses" in flag for flag in found.flags)


def test_a_counter_that_freezes_is_replaced_by_power_and_reported(make) -> None:
    made = make([150.0])
    made.gpus[0].frozen_ns = BEGIN_NS + 6 * SECOND
    found, _, end_ns = found_in(made, 20)
    true_j = truth_j(made, BEGIN_NS, end_ns)
    assert abs(found.joules.energy_j - true_j) <= found.joules.uncertainty_j
    assert any("stood still" in flag for flag in found.flags)


def test_a_load_in_step_with_a_blind_sensor_is_not_called_certain(make) -> None:
    """Power alone sees this load as constant: no tool can know, but it can say so in its flags."""
    made = make([80.0], counter_supported=0, power_phase_ms=20)
    end_ns = BEGIN_NS + 5 * SECOND
    square(made.gpus[0], BEGIN_NS, end_ns, 0.1, duty=0.5, high_w=400.0, low_w=80.0)
    found, _, _ = found_in(made, 5)
    true_j = truth_j(made, BEGIN_NS, end_ns)
    assert abs(found.joules.energy_j - true_j) > 0.3 * true_j
    assert any("in step with it" in flag for flag in found.flags)


@pytest.mark.parametrize("counter", [0, 1])
@pytest.mark.parametrize("period_s", [0.05, 0.5, 5.0])
def test_power_is_never_polled_faster_than_stated(period_s, counter, make) -> None:
    """As asked; without a counter at least 50 times a second. What comes before is left out."""
    reads = []
    for seconds in (20, 60):
        made = make([100.0], counter_supported=counter)
        found_in(made, seconds, period_s)
        reads.append(made.gpus[0].power_reads)
    fastest_s = period_s if counter else min(period_s, 0.02)
    slow = 2  # power averaged over a second is read once a second, if the board has it
    assert 0 < reads[1] - reads[0] <= 40 / fastest_s + 40 * slow


def test_reading_just_after_a_wrap_of_rapl_is_no_leap(tmp_path: Path, monkeypatch) -> None:
    rapl = FakeRapl(tmp_path, {"intel-rapl:0": "package-0"}, power_w=200.0)
    zone = rapl["intel-rapl:0"]
    zone.offset_uj = zone.range_uj - 500_000_000
    rapl.turn_to(0)
    monkeypatch.setenv(ELSEWHERE, str(tmp_path))
    (meter,) = find(MeterSetup(1, (), 4.0, "")).meters
    readings_j = []
    for moment_s in (0, 2.49, 2.51, 2.52, 5):  # it wraps after 2.5 s
        rapl.turn_to(round(moment_s * SECOND))
        readings_j.append(meter.read())
    drawn_j = [joules - readings_j[0] for joules in readings_j]
    assert drawn_j == pytest.approx([0, 498, 502, 504, 1000], abs=1e-4)


def test_dram_of_rapl_is_added_and_overlapping_zones_are_not(tmp_path: Path, monkeypatch) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 60.0),
        "intel-rapl:0:0": ("core", 40.0),
        "intel-rapl:0:2": ("dram", 9.0),
        "intel-rapl:1": ("psys", 90.0),
        "intel-rapl-mmio:0": ("package-0", 60.0),
    }
    names = {zone: name for zone, (name, _) in zones.items()}
    rapl = FakeRapl(tmp_path, names, {zone: power_w for zone, (_, power_w) in zones.items()})
    monkeypatch.setenv(ELSEWHERE, str(tmp_path))
    meters = find(MeterSetup(1, (), 4.0, "")).meters
    rapl.turn_to(10 * SECOND)
    assert sum(meter.read() for meter in meters) == pytest.approx(690)
    assert {meter.sensor.kind for meter in meters} == {"cpu", "dram"}
