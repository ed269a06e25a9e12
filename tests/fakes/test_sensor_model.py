"""The stand-in's sensors: what they show follows from the known power, to the last mJ."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pynvml
import pytest

from tests.fakes.reader import MS, NOW, SECOND, counter_j, field, handle, instant_w, usage_w, wild
from tests.fakes.stand_in import square


@pytest.mark.parametrize(
    ("update_ms", "phase_ms", "latency_ms"), [(100, 0, 0), (20, 7, 35), (33.3, 0, 0)]
)
def test_counter_is_the_truth_at_its_last_update(make, update_ms, phase_ms, latency_ms) -> None:
    machine = make(counter_update_ms=update_ms, counter_phase_ms=phase_ms)
    machine.gpus[0].counter_latency_ms = latency_ms
    wild(machine)
    for step_ms in range(0, 20_000, 333):
        machine.clock_ns = NOW + step_ms * MS
        seen_ns, period_ns = machine.clock_ns - (latency_ms + phase_ms) * MS, round(update_ms * MS)
        update_ns = seen_ns // period_ns * period_ns + phase_ms * MS
        truth_j = machine.gpus[0].truth_j(0, update_ns)
        assert truth_j - 0.001 <= counter_j() <= truth_j + 1e-6


def test_truth_is_the_integral(make) -> None:
    gpu = make(power_w=100).gpus[0]
    gpu.draw(300, NOW)
    gpu.draw(50, NOW + 2 * SECOND)
    assert gpu.truth_j(NOW - SECOND, NOW + 3 * SECOND) == 100 + 600 + 50
    assert gpu.truth_j(NOW + SECOND, NOW + SECOND + 1) == pytest.approx(300e-9)
    assert gpu.truth_j(0, NOW) == 5000
    with pytest.raises(ValueError, match="is before it"):
        gpu.draw(1, NOW)


def test_counter_has_gain_offset_and_resolution(make) -> None:
    machine = make(power_w=200, gain=1.05, offset_w=3, counter_quantum_mj=1000)
    assert counter_j() == (200 * 1.05 + 3) * 50
    machine.clock_ns += 100 * MS
    assert counter_j() == 10_650 + 21


def test_counter_starts_anew_at_a_reset(make) -> None:
    machine = make(power_w=200, counter_start_ns=40 * SECOND)
    assert counter_j() == 2000
    machine.gpus[0].reset_ns = NOW + SECOND
    assert counter_j() == 2000
    machine.clock_ns = NOW + SECOND + 50 * MS
    assert counter_j() == 0
    machine.clock_ns = NOW + 3 * SECOND
    assert counter_j() == 400


def test_power_is_the_mean_over_its_window(make) -> None:
    machine = make(power_w=100)
    gpu = machine.gpus[0]
    wild(machine)
    for step_ms in range(1000, 20_000, 377):
        machine.clock_ns = NOW + step_ms * MS
        update_ns = machine.clock_ns // (100 * MS) * 100 * MS
        mean_w = gpu.truth_j(update_ns - 25 * MS, update_ns) / 0.025
        assert instant_w() == pytest.approx(mean_w, abs=0.0006)
        assert usage_w() == pytest.approx(gpu.truth_j(update_ns - SECOND, update_ns), abs=0.0006)
        average = field(pynvml.NVML_FI_DEV_POWER_AVERAGE)
        assert average.value.uiVal / 1000 == usage_w()


def test_power_has_gain_offset_and_resolution(make) -> None:
    make(power_w=200.4, gain=0.95, offset_w=3, power_quantum_mw=1000)
    assert (usage_w(), instant_w()) == (193, 193)  # of 193.38


def test_power_comes_late_and_in_phase(make) -> None:
    machine = make(power_phase_ms=30, power_latency_ms=15, power_window_ms=0)
    machine.gpus[0].draw(300, NOW + 130 * MS)
    machine.clock_ns = NOW + 144 * MS
    assert instant_w() == 100
    machine.clock_ns = NOW + 145 * MS
    assert instant_w() == 300


def test_a_counter_that_sums_samples_aliases(make) -> None:
    machine = make(power_w=0, counter_sums_samples=1)
    end_ns = NOW + 30 * SECOND
    square(machine.gpus[0], NOW, end_ns, period_s=0.1, duty=0.5, high_w=400, low_w=0)
    machine.gpus[0].draw(200, end_ns + SECOND)
    readings = []
    for phase_ms in (25, 75, 37.5):  # the last 25 ms: all high, all low, half and half
        machine.gpus[0].power_phase_ms = phase_ms
        machine.clock_ns = NOW + 100 * MS
        before_j = counter_j()
        machine.clock_ns = end_ns - 100 * MS
        readings.append(counter_j() - before_j)
    drawn_j = 200 * 29.8
    assert readings == pytest.approx([2 * drawn_j, 0, 2 * drawn_j], rel=1e-6)
    machine.gpus[0].power_phase_ms = 62.5
    assert counter_j() == pytest.approx(drawn_j, abs=25)
    machine.gpus[0].counter_sums_samples = 0
    assert counter_j() == pytest.approx(200 * 29.9, abs=0.01)
    # Where the power is constant, sums of samples are right.
    machine.gpus[0].counter_sums_samples = 1
    machine.clock_ns = end_ns + 2 * SECOND
    before_j = counter_j()
    machine.clock_ns = end_ns + 7 * SECOND
    assert counter_j() - before_j == pytest.approx(1000)


def test_a_sum_of_samples_is_the_sum_of_every_sample(make) -> None:
    machine = make(counter_sums_samples=1, counter_start_ns=NOW, power_phase_ms=10)
    gpu = machine.gpus[0]
    wild(machine)
    sum_j, update_ns = 0.0, NOW + 10 * MS
    for _ in range(300):
        sum_j += 4 * gpu.truth_j(update_ns - 25 * MS, update_ns)
        machine.clock_ns = update_ns + 91 * MS  # the counter's next update, 90 ms later, is past
        assert counter_j() == pytest.approx(sum_j, abs=0.0011)
        update_ns += 100 * MS


def test_noise_is_reproducible_and_as_large_as_asked(make) -> None:
    def series(seed: int) -> np.ndarray:
        machine = make(gpus=2, noise=0.02, noise_seed=seed)
        readings = []
        for _ in range(500):
            machine.clock_ns += 100 * MS
            first = usage_w()
            assert usage_w() == first  # the same update
            readings.append((first, usage_w(1), instant_w()))
        return np.array(readings)

    first, again, other = series(1), series(1), series(2)
    assert (first == again).all()
    assert (first != other).mean() > 0.99
    assert first.std(axis=0) == pytest.approx([2, 2, 2], rel=0.15)
    assert first.mean(axis=0) == pytest.approx([100] * 3, abs=0.4)
    correlation = np.corrcoef(first.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 0.2


def test_readings_freeze(make) -> None:
    machine = make()
    wild(machine)
    machine.clock_ns = NOW + 5 * SECOND
    machine.gpus[0].frozen_ns = NOW + 4 * SECOND
    frozen = counter_j(), usage_w(), instant_w()
    machine.clock_ns = NOW + 20 * SECOND
    assert (counter_j(), usage_w(), instant_w()) == frozen
    machine.gpus[0].frozen_ns = 0
    assert all(now != then for now, then in zip((counter_j(), usage_w()), frozen, strict=False))


def test_absurd_power(make) -> None:
    machine = make(absurd_w=10_000)
    assert (usage_w(), instant_w()) == (10_000, 10_000)
    machine.gpus[0].absurd_w = -5
    assert pynvml.nvmlDeviceGetPowerUsage(handle()) == 2**32 - 5000


def test_reading_the_counter_often_loses_energy(make) -> None:
    """15 ms of cost: 95 % at a read each 0.5 ms, some 14 % at 100 ms, 1.4 % at 1 s."""
    for period_ms, lost in [(0.5, 0.95), (100, 0.1425), (1000, 0.01425)]:
        machine = make(power_w=200, read_cost_ms=15)
        first_j = counter_j()
        readings = []
        for _ in range(round(4000 / period_ms)):
            machine.clock_ns += round(period_ms * MS)
            readings.append(counter_j())
        assert all(before <= after for before, after in pairwise(readings))
        drawn_j = readings[-1] - first_j
        assert 1 - drawn_j / (200 * 4) == pytest.approx(lost, rel=0.03)
        assert machine.gpus[0].counter_reads == len(readings) + 1
        assert machine.gpus[0].power_reads == 0


def test_a_reset_forgets_what_reads_have_lost(make) -> None:
    machine = make(power_w=200, read_cost_ms=15, counter_update_ms=0)
    for _ in range(1000):
        machine.clock_ns += MS
        counter_j()
    assert machine.gpus[0].lost_j > 0.9 * 200
    machine.gpus[0].reset_ns = machine.clock_ns
    machine.clock_ns += SECOND
    assert counter_j() == pytest.approx(200 * (1 - 0.95 * 0.015), abs=0.001)
