"""Sampled power, integrated, and what is reported of time without readings."""

from __future__ import annotations

import numpy as np
import pytest

from harness.energy.integration.curve import (
    GATHERED,
    hidden_power_w,
    in_step_share,
    unknown_power_w,
)
from harness.energy.integration.sampled_power import SampledPower
from harness.energy.integration.windows import EnergyCurve
from tests.energy.traces import SECOND, readings, sensor

SEEING = sensor("power", "sampled", update_s=0.1, window_s=0.1, ceiling_w=400.0)
BLIND = sensor("power", "sampled", update_s=0.1, window_s=0.025, ceiling_w=400.0)
TIMES_S = np.arange(0, 20, 0.02)


def drawn(power_w, window_s=(5, 15), of=SEEING, times_s=TIMES_S, failed_s=()):
    found = readings(list(times_s), list(power_w), of, list(failed_s))
    window = tuple(round(each * SECOND) for each in window_s)
    return EnergyCurve(found, None, window, 0.02).between(*window)


def held(power_w, update_s=0.1):
    """Readings that stay the same for an update."""
    return np.repeat(power_w, round(update_s / 0.02))[: len(TIMES_S)]


@pytest.mark.parametrize("of", [SEEING, BLIND, sensor("power", "sampled")])
def test_as_far_as_it_is_asked_for_it_is_what_it_is_as_a_whole(of) -> None:
    """In parts or at once, up to any moment, with windows too short for a reading of their own."""
    rng = np.random.default_rng(0)
    lost = (TIMES_S > 8) & (TIMES_S < 10)
    power_w = rng.uniform(100, 300, len(TIMES_S))[~lost]
    found = readings(TIMES_S[~lost].tolist(), power_w.tolist(), of, [8.5])
    borders_s = np.sort(np.append(rng.uniform(-1, 21, 30), [5.0, 5.03, 5.06, 9.0]))
    whole = SampledPower(found, borders_s, 0.02).curve()
    growing = SampledPower(found, borders_s, 0.02)
    for until_s in (-5.0, 0.1, 5.05, 5.06, 12.0, np.inf):
        part = growing.curve(until_s)
        count = len(part.time_s)
        assert count == 0 or part.time_s[-1] >= min(until_s, whole.time_s[-1])
        for name in ("time_s", *GATHERED):
            same = getattr(whole, name)[:count]
            np.testing.assert_allclose(getattr(part, name), same, rtol=1e-12, atol=1e-12)
    assert count == len(whole.time_s)
    assert (whole.time_s[0], whole.time_s[-1]) == growing.spans


@pytest.mark.parametrize("of", [SEEING, BLIND])
def test_constant_power_without_noise(of) -> None:
    found = drawn(np.full(len(TIMES_S), 200.0), of=of)
    assert found.energy_j == pytest.approx(2000)
    assert (found.gap_j, found.coverage) == (0, pytest.approx(1))


def test_readings_that_saw_another_window_do_not_speak_for_this_one() -> None:
    """80 W until 5 s; readings still show it 0.1 s later."""
    seen_w = np.where(TIMES_S < 5.1, 80.0, 300.0)
    assert drawn(seen_w).energy_j == pytest.approx(3000)


@pytest.mark.parametrize("absurd_w", [-5.0, 1200.1, 4_294_962.0])
def test_absurd_powers_do_not_enter(absurd_w) -> None:
    power_w = np.full(len(TIMES_S), 200.0)
    power_w[300:310] = absurd_w
    found = drawn(power_w)
    assert found.energy_j == pytest.approx(2000)
    assert found.coverage < 1
    assert found.gap_j > 0


def test_failed_readings_are_a_gap() -> None:
    lost = (TIMES_S > 8) & (TIMES_S < 10)
    power_w = np.full((~lost).sum(), 200.0)
    found = drawn(power_w, times_s=TIMES_S[~lost], failed_s=TIMES_S[lost])
    assert found.coverage == pytest.approx(0.8, abs=0.01)
    assert found.gap_j == pytest.approx(2 * unknown_power_w(200, 200, 400), rel=0.05)


def test_silence_of_a_thinned_trace_is_no_gap() -> None:
    """Equal readings are left out for up to a second."""
    found = drawn(np.full(21, 200.0), times_s=np.arange(21.0))
    assert (found.coverage, found.gap_j) == (pytest.approx(1), 0)


def test_window_too_short_for_a_reading_of_its_own_says_so() -> None:
    found = drawn(np.full(len(TIMES_S), 200.0), window_s=(5, 5.05))
    assert found.energy_j == pytest.approx(10)
    assert found.gap_j >= 0.05 * unknown_power_w(200, 200, 400) * 0.99


def test_sensor_that_always_looks_misses_nothing() -> None:
    assert drawn(np.full(len(TIMES_S), 200.0)).aliasing_j == 0


def test_blind_sensor_owns_that_a_short_load_may_be_one_in_step_with_it() -> None:
    """Nearly as much as for a load known to be in step for a few looks, nothing for many."""
    power_w = np.full(len(TIMES_S), 200.0)
    power_w[:10] = 50
    most_j = 0.75 * hidden_power_w(200, 50, 400)
    assert drawn(power_w, (5, 5.1), BLIND).aliasing_j == pytest.approx(0.1 * most_j)
    assert 0.2 * most_j < drawn(power_w, (5, 6), BLIND).aliasing_j < 0.5 * most_j
    assert drawn(power_w, (5, 15), BLIND).aliasing_j == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("looks", [1, 3, 10, 15])
def test_what_hides_in_step_is_bounded_by_how_likely_that_is(looks) -> None:
    """By simulation: 1 / looks of all loads keep step, with powers that looks would rather miss."""
    rng = np.random.default_rng(looks)
    off = rng.uniform(size=400_000)
    off = off[rng.uniform(size=400_000) < 1 - off]
    off = np.where(rng.uniform(size=len(off)) < 1 / looks, off, 0)
    bound = hidden_power_w(300, 200, 400) / 100 * in_step_share(np.array([looks]))[0]
    assert np.mean(off <= bound) == pytest.approx(0.95, abs=0.005)


def test_a_slow_swing_may_be_the_beat_of_a_fast_load() -> None:
    """Of a few swings the window may hold any part of one more; of many that is little."""
    swings_s = {"few": 4.0, "many": 0.4}
    borders = {}
    for name, swing_s in swings_s.items():
        power_w = np.where(TIMES_S % swing_s < swing_s / 2, 100.0, 300.0)
        borders[name] = drawn(power_w, of=BLIND).border_j
        assert borders[name] > 1.5 * drawn(power_w, of=SEEING).border_j
    assert borders["few"] > 0.05 * 2000


def test_load_that_flickers_is_not_in_step() -> None:
    rng = np.random.default_rng(0)
    flickers = held(rng.choice([100.0, 300.0], 200))
    slowly = held(np.repeat(rng.choice([100.0, 300.0], 10), 20))
    short = (5, 5.8)
    alike = drawn(slowly, short, BLIND).aliasing_j
    assert drawn(flickers, short, BLIND).aliasing_j < 0.5 * alike


def test_steady_load_is_known_as_well_as_its_samples_agree() -> None:
    rng = np.random.default_rng(0)
    found = drawn(held(rng.normal(200, 1, 200)), of=BLIND)
    assert found.without_gain_j < 0.01 * found.energy_j


def test_average_over_a_second_is_uncertain_at_borders() -> None:
    average = sensor("power", "sampled", update_s=0.1, window_s=1.0, ceiling_w=400.0)
    power_w = np.full(len(TIMES_S), 200.0)
    assert drawn(power_w, of=average).border_j > 5 * drawn(power_w).border_j


@pytest.mark.parametrize("seed", range(3))
def test_powers_that_nobody_looked_at_by_simulation(seed) -> None:
    """95 % of the evenly likely powers, and of those that looks would rather miss."""
    rng = np.random.default_rng(seed)
    floor_w, mean_w, ceiling_w = np.sort(rng.uniform(0, 700, 3))
    even_w = rng.uniform(floor_w, ceiling_w, 100_000)
    within = np.abs(even_w - mean_w) <= unknown_power_w(mean_w, floor_w, ceiling_w)
    assert np.mean(within) == pytest.approx(0.95, abs=0.005)
    room_w = np.where(even_w > mean_w, ceiling_w - mean_w, mean_w - floor_w)
    likely = rng.uniform(size=100_000) < 1 - np.abs(even_w - mean_w) / room_w
    hidden = np.abs(even_w - mean_w)[likely] <= hidden_power_w(mean_w, floor_w, ceiling_w)
    assert np.mean(hidden) == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("unknown", [unknown_power_w, hidden_power_w])
def test_power_that_cannot_vary_is_known(unknown) -> None:
    assert unknown(200, 200, 200) == 0
