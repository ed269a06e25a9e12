"""How near to the truth an A100's counter brings windows: a limit each, of errors without gain."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from harness.energy.health import Health
from harness.energy.integration.windows import curves
from tests.energy.scenarios import IDLE_W, MODELS, START_NS, between, machine
from tests.energy.virtual import SECOND, VirtualSignals, gpu_meters, record
from tests.fakes.stand_in import StandIn, square


def phased(stand_in: StandIn, rng: np.random.Generator) -> None:
    for gpu in stand_in.gpus:
        gpu.counter_phase_ms, gpu.power_phase_ms = rng.uniform(0, 100, 2)


def errors(
    library: Path,
    folder: Path,
    seed: int,
    count: int,
    least_s: float,
    most_s: float,
    **settings: float,
):
    """Relative errors of windows of one recording, with rests of all lengths between them."""
    rng = np.random.default_rng(seed)
    with machine(library, folder, **{**MODELS["a100"], **settings}) as stand_in:
        phased(stand_in, rng)
        (gpu,) = stand_in.gpus
        windows, end_ns = [], START_NS + 10 * SECOND
        for _ in range(count):
            start_ns = end_ns + round(rng.uniform(0.3, 3) * SECOND)
            end_ns = start_ns + round(rng.uniform(least_s, most_s) * SECOND)
            gpu.draw(float(rng.choice([IDLE_W, 400, 600])), start_ns)
            gpu.draw(IDLE_W, end_ns)
            windows.append((start_ns, end_ns))
        borders = [border for window in windows for border in window]
        trace, _ = record(stand_in, gpu_meters(), borders)
        (curve,) = curves(trace, borders)
        return np.array([curve.between(*w).energy_j / gpu.truth_j(*w) - 1 for w in windows])


def test_windows_from_0_15_to_1_5_s(library, tmp_path) -> None:
    found = np.concatenate([errors(library, tmp_path, seed, 60, 0.15, 1.5) for seed in range(5)])
    assert np.abs(found).mean() <= 0.005
    assert np.abs(found).max() <= 0.02


def test_windows_of_3_s_and_more(library, tmp_path) -> None:
    found = np.concatenate([errors(library, tmp_path, seed, 30, 3, 10) for seed in range(3)])
    assert np.abs(found).max() <= 0.002


@pytest.mark.parametrize(("period_s", "duty"), [(1.0, 0.5), (1.0, 0.1), (0.1, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_periodic_loads_of_20_s(library, tmp_path, period_s, duty, seed) -> None:
    rng = np.random.default_rng(seed)
    with machine(library, tmp_path, **MODELS["a100"]) as stand_in:
        phased(stand_in, rng)
        (gpu,) = stand_in.gpus
        start_ns = START_NS + 5 * SECOND + int(rng.integers(SECOND))
        borders = [start_ns, start_ns + 20 * SECOND]
        square(gpu, *borders, period_s, duty, 600, IDLE_W)
        trace, _ = record(stand_in, gpu_meters(), borders)
        found = between(trace, borders, *borders)
        assert found.energy_j == pytest.approx(gpu.truth_j(*borders), rel=0.001)


def test_short_phases_that_follow_each_other(library, tmp_path) -> None:
    """Two borders in one update, and windows with no update of their own."""
    rng = np.random.default_rng(0)
    with machine(library, tmp_path, **MODELS["a100"]) as stand_in:
        phased(stand_in, rng)
        (gpu,) = stand_in.gpus
        steps_ns = rng.integers(30_000_000, 200_000_000, 60)
        borders = (START_NS + 5 * SECOND + np.cumsum(steps_ns)).tolist()
        for border in borders:
            gpu.draw(rng.uniform(100, 600), border)
        trace, _ = record(stand_in, gpu_meters(), borders)
        (curve,) = curves(trace, borders)
        found = [(curve.between(*pair), gpu.truth_j(*pair)) for pair in pairwise(borders)]
        held = [abs(joules.energy_j - true_j) <= joules.border_j for joules, true_j in found]
        assert np.mean(held) >= 0.93


@pytest.mark.parametrize("count", [4, 12])
def test_many_gpus_are_each_themselves(library, tmp_path, count) -> None:
    powers_w = [100.0 + 30 * number for number in range(count)]
    with machine(library, tmp_path, powers_w, **MODELS["a100"]) as stand_in:
        phased(stand_in, np.random.default_rng(1))
        borders = [START_NS + 5 * SECOND, START_NS + 12 * SECOND]
        trace, _ = record(stand_in, gpu_meters(), borders)
        found = {
            curve.sensor.device: curve.between(*borders).energy_j
            for curve in curves(trace, borders)
        }
        assert list(found) == [gpu.uuid for gpu in stand_in.gpus]
        for gpu, power_w in zip(stand_in.gpus, powers_w, strict=True):
            assert found[gpu.uuid] == pytest.approx(7 * power_w, rel=0.002)


CALL_MS = 1.0
"""What a call of a slow driver takes."""
LATE_SHARE, LATE_NS = 0.3, 6_000_000
"""On a busy machine this share of waits ends late, by this on average."""


class Busy(VirtualSignals):
    """Threads resume late at times, as where other work keeps a core busy."""

    rng = np.random.default_rng(0)

    def late_ns(self) -> int:
        return int(self.rng.exponential(LATE_NS)) if self.rng.random() < LATE_SHARE else 0


def phases_of_boards(library: Path, folder: Path, boards: int, seed: int, signals, **settings):
    """Relative errors of phases of 0.5 to 4 s, what is stated of them without gain, and flags."""
    rng = np.random.default_rng(seed)
    powers_w = [IDLE_W] * boards
    with machine(library, folder, powers_w, **{**MODELS["a100"], **settings}) as stand_in:
        phased(stand_in, rng)
        meters = gpu_meters()
        stand_in.fault(0, "nvmlDevice", hang_ms=CALL_MS)
        borders = [START_NS + 15 * SECOND]
        for _ in range(8):
            for gpu in stand_in.gpus:
                gpu.draw(rng.uniform(80, 600), borders[-1])
            borders.append(borders[-1] + round(rng.uniform(0.5, 4) * SECOND))
        for gpu in stand_in.gpus:
            gpu.draw(IDLE_W, borders[-1])
        trace, _ = record(stand_in, meters, borders, signals=signals(stand_in, []))
        found = []
        for gpu, curve in zip(stand_in.gpus, curves(trace, borders), strict=True):
            for pair in pairwise(borders):
                joules, truth_j = curve.between(*pair), gpu.truth_j(*pair)
                found.append((joules.energy_j / truth_j - 1, joules.without_gain_j / truth_j))
        flags = Health(trace, borders[0], borders[-1]).flags
        return (*np.array(found).T, flags)


@pytest.mark.parametrize("signals", [VirtualSignals, Busy])
def test_eight_boards_of_a_slow_driver(library, tmp_path, signals) -> None:
    """One loop over all of them would take 16 ms a round, and find no rhythm."""
    errors, stated, flags = phases_of_boards(library, tmp_path, 8, 5, signals)
    assert np.abs(errors).mean() <= 0.005
    assert np.abs(errors).max() <= 0.02
    assert np.mean(np.abs(errors) <= stated) >= 0.95
    assert stated.mean() < 0.01
    assert flags == []


@pytest.mark.parametrize("update_ms", [250, 1000])
def test_counters_slower_than_any_known(library, tmp_path, update_ms) -> None:
    """None is called frozen, and the step that was seen enters the uncertainty."""
    errors, stated, flags = phases_of_boards(
        library, tmp_path, 2, 7, VirtualSignals, counter_update_ms=update_ms
    )
    assert np.abs(errors).max() <= 0.02
    assert np.mean(np.abs(errors) <= stated) >= 0.95
    assert flags == []


@pytest.mark.parametrize(("update_ms", "mean"), [(250, 0.005), (500, 0.015), (1000, 0.025)])
def test_power_splits_the_updates_of_a_slow_counter(library, tmp_path, update_ms, mean) -> None:
    """The load changes some time after each border, as where data come late."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        settings = {**MODELS["a100"], "counter_update_ms": update_ms}
        with machine(library, tmp_path, **settings) as stand_in:
            phased(stand_in, rng)
            (gpu,) = stand_in.gpus
            borders = [START_NS + 15 * SECOND]
            for _ in range(30):
                gpu.draw(rng.uniform(80, 600), borders[-1] + round(rng.uniform(0.05, 0.4) * SECOND))
                borders.append(borders[-1] + round(rng.uniform(0.5, 4) * SECOND))
            gpu.draw(IDLE_W, borders[-1])
            trace, _ = record(stand_in, gpu_meters(), borders)
            (curve,) = curves(trace, borders)
            for pair in pairwise(borders):
                joules, truth_j = curve.between(*pair), gpu.truth_j(*pair)
                found.append((joules.energy_j / truth_j - 1, joules.without_gain_j / truth_j))
    errors, stated = np.abs(np.array(found)).T
    assert errors.mean() <= mean
    assert np.mean(errors <= stated) >= 0.95


def test_bursts_of_a_slow_counter(library, tmp_path) -> None:
    found = np.concatenate(
        [errors(library, tmp_path, seed, 40, 0.15, 1.5, counter_update_ms=250) for seed in (0, 1)]
    )
    assert np.abs(found).mean() <= 0.005
    assert np.abs(found).max() <= 0.05


def test_a_counter_without_a_rhythm_is_read_at_borders_and_flagged(
    library, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it had never been found: each border shows three updates, and what is not known."""
    monkeypatch.setattr("harness.energy.recorder.device_reader._period_s", lambda *_: None)
    monkeypatch.setattr("harness.energy.recorder.read_schedule.SearchPace.rhythm", None)
    errors, stated, flags = phases_of_boards(library, tmp_path, 1, 3, VirtualSignals)
    assert np.abs(errors).max() <= 0.03
    assert np.mean(np.abs(errors) <= stated) >= 0.95
    assert any("update period unknown" in flag for flag in flags)


def test_a_rhythm_missed_at_first_is_found_at_the_borders(
    library, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.energy.recorder.device_reader._period_s", lambda *_: None)
    errors, _, flags = phases_of_boards(library, tmp_path, 1, 3, VirtualSignals)
    assert np.abs(errors).max() <= 0.02
    assert flags == []
