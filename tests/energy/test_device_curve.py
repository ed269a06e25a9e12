"""Counters that fail, and power in their place: the real recorder sees a machine of known power."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.energy.health import Health
from harness.energy.integration.curve import Joules
from harness.energy.integration.windows import curves
from tests.energy.scenarios import MODELS, START_NS, between, machine
from tests.energy.virtual import SECOND, gpu_meters, record
from tests.fakes.fake_gpu import FakeGpu
from tests.fakes.stand_in import StandIn

BEGIN_NS = START_NS + 5 * SECOND
END_NS = BEGIN_NS + 20 * SECOND
MIDDLE_NS = BEGIN_NS + 8 * SECOND
LOST = 15


@pytest.fixture
def found(library: Path, tmp_path: Path):
    """Records 20 s at 300 W with whatever `spoil` does; returns joules, truth and flags."""

    def run(spoil: Callable[[StandIn, FakeGpu], None], **settings: float):
        with machine(library, tmp_path, **{**MODELS["turing"], **settings}) as stand_in:
            (gpu,) = stand_in.gpus
            gpu.noise = 0.005
            gpu.draw(300, BEGIN_NS)
            gpu.draw(80, END_NS)
            meters = gpu_meters()
            spoil(stand_in, gpu)
            borders = [BEGIN_NS, END_NS]
            trace, _ = record(stand_in, meters, borders)
            flags = Health(trace, *borders).flags
            return between(trace, borders, *borders), gpu.truth_j(*borders), flags

    return run


def holds(joules: Joules, true_j: float) -> bool:
    """Whether the truth is within the uncertainty beside the gain, which is exact here."""
    rest_j = np.sqrt(joules.uncertainty_j**2 - joules.gain_j**2)
    return abs(joules.energy_j - true_j) <= rest_j


def test_counter_set_back_is_filled_from_power_and_flagged(found) -> None:
    """Whenever in an update that happens; no window is negative."""
    held = []
    for late_ms in range(0, 100, 10):
        reset_ns = MIDDLE_NS + late_ms * 1_000_000
        joules, true_j, flags = found(lambda _, gpu, at=reset_ns: setattr(gpu, "reset_ns", at))
        assert joules.energy_j == pytest.approx(true_j, rel=0.005)
        assert any("set back" in flag for flag in flags)
        held.append(holds(joules, true_j))
    assert np.mean(held) >= 0.9


def test_counter_lost_for_good_goes_on_in_power(found) -> None:
    def spoil(stand_in, _):
        stand_in.fault(LOST, "nvmlDeviceGetTotalEnergyConsumption", from_ns=MIDDLE_NS)

    joules, true_j, flags = found(spoil)
    assert joules.energy_j == pytest.approx(true_j, rel=0.005)
    assert holds(joules, true_j)
    assert any("readings failed" in flag for flag in flags)


def test_gpu_lost_for_good_is_not_covered_and_as_uncertain_as_that(found) -> None:
    joules, true_j, _ = found(lambda stand_in, _: stand_in.fault(LOST, from_ns=MIDDLE_NS))
    assert joules.coverage == pytest.approx(8 / 20, abs=0.02)
    assert holds(joules, true_j)


def test_gpu_lost_for_two_seconds_was_counted_meanwhile(found) -> None:
    def spoil(stand_in, _):
        stand_in.fault(LOST, from_ns=MIDDLE_NS, until_ns=MIDDLE_NS + 2 * SECOND)

    joules, true_j, _ = found(spoil)
    assert joules.energy_j == pytest.approx(true_j, rel=0.001)
    assert joules.coverage == pytest.approx(1)
    assert joules.gap_j == 0


def test_power_lost_for_two_seconds_is_a_gap(found) -> None:
    def spoil(stand_in, _):
        stand_in.fault(LOST, from_ns=MIDDLE_NS, until_ns=MIDDLE_NS + 2 * SECOND)

    joules, true_j, _ = found(spoil, counter_supported=0)
    assert joules.coverage == pytest.approx(0.9, abs=0.01)
    assert joules.gap_j > 0.5 * 2 * 300
    assert holds(joules, true_j)


@pytest.mark.parametrize("absurd_w", [-5.0, 10_000.0])
def test_absurd_power_does_not_enter(found, absurd_w) -> None:
    def spoil(_, gpu):
        gpu.absurd_w = absurd_w

    joules, true_j, _ = found(spoil)
    assert joules.energy_j == pytest.approx(true_j, rel=0.001)
    alone, _, _ = found(spoil, counter_supported=0)
    assert (alone.energy_j, alone.coverage) == (0, 0)


def test_frozen_sensors_are_flagged_and_their_power_is_not_believed(found) -> None:
    def spoil(_, gpu):
        gpu.frozen_ns = MIDDLE_NS

    joules, _, flags = found(spoil)
    assert any("stood still" in flag for flag in flags)
    assert joules.coverage == pytest.approx(8 / 20, abs=0.1)
    assert joules.gap_j > 0.5 * 12 * 300


def test_counter_that_reading_falsifies_gives_way_to_power(found) -> None:
    joules, true_j, flags = found(lambda *_: None, read_cost_ms=15)
    assert joules.energy_j == pytest.approx(true_j, rel=0.005)
    assert holds(joules, true_j)
    assert any("loses" in flag for flag in flags)


def test_power_and_counter_blind_alike_agree_and_are_wrong(library, tmp_path) -> None:
    """A counter that sums what a blind sensor samples shares its error.

    Their agreement proves nothing for a load in step with the sensor. It is not documented whether
    boards' counters are such; here is what would happen.
    """
    settings = {**MODELS["a100"], "counter_sums_samples": 1}
    with machine(library, tmp_path, **settings) as stand_in:
        (gpu,) = stand_in.gpus
        for begin_ns in range(BEGIN_NS, END_NS, SECOND // 10):
            gpu.draw(600, begin_ns)
            gpu.draw(80, begin_ns + SECOND // 20)
        gpu.power_phase_ms = 40  # sees the first half of each period alone
        borders = [BEGIN_NS, END_NS]
        trace, _ = record(stand_in, gpu_meters(), borders)
        health = Health(trace, *borders)
        joules = between(trace, borders, *borders)
        assert joules.energy_j > 1.5 * gpu.truth_j(*borders)
        assert health.disagreement == pytest.approx(0, abs=0.02)
        assert not any("disagree" in flag for flag in health.flags)


def test_gpu_that_fails_does_not_touch_the_others(library, tmp_path) -> None:
    with machine(library, tmp_path, [200.0, 300.0], **MODELS["turing"]) as stand_in:
        meters = gpu_meters()
        stand_in.fault(LOST, gpu=1, from_ns=MIDDLE_NS)
        borders = [BEGIN_NS, END_NS]
        trace, _ = record(stand_in, meters, borders)
        well, lost = (curve.between(*borders) for curve in curves(trace, borders))
        assert well.energy_j == pytest.approx(4000, rel=0.001)
        assert (well.coverage, well.gap_j) == (pytest.approx(1), 0)
        assert lost.coverage < 0.5
