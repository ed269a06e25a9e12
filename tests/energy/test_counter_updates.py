"""When a counter's updates happened, from readings close to them and from their rhythm."""

from __future__ import annotations

import numpy as np
import pytest

from harness.energy.integration.window_edges import counter_updates
from tests.energy.traces import counted, readings, sensor
from tests.fakes.known_power import KnownPower

COUNTER = sensor(update_s=0.1)


def updates(times_s, of=COUNTER, phase_s=0.0):
    found = counted(KnownPower(300), list(times_s), of, phase_s)
    return counter_updates(found, of.update_s)


def test_fresh_counter_is_known_at_every_reading() -> None:
    found = counter_updates(readings([0, 1], [1, 1]), 0.001)
    assert found.time_s.tolist() == pytest.approx([-0.0005, 0.9995])
    assert found.half_s.tolist() == [0.0005] * 2
    assert found.last_s == 1


def test_only_changes_of_a_slow_counter_count() -> None:
    found = updates(np.arange(0.031, 1, 0.002))
    assert found.energy_j.tolist() == pytest.approx([30 * number for number in range(10)])


def test_updates_read_closely_are_known_to_a_millisecond() -> None:
    found = updates(np.arange(0.031, 1, 0.002))
    assert np.abs(found.time_s[1:] - np.arange(0.1, 0.95, 0.1)).max() <= 0.0011
    assert found.half_s[1:].max() <= 0.0011


def test_the_rhythm_gives_the_moments_of_updates_in_between() -> None:
    """Read closely for half a second and then every 0.77 s."""
    seldom_s = np.arange(0.777, 8, 0.77)
    found = updates([*np.arange(0.031, 0.5, 0.002), *seldom_s])
    true_s = np.floor(found.time_s[5:] / 0.1 + 0.5) * 0.1
    assert len(true_s) == len(seldom_s)
    assert (np.abs(found.time_s[5:] - true_s) <= found.half_s[5:]).all()
    assert found.half_s[5:].max() < 0.01


def test_without_sharp_updates_a_moment_is_known_to_half_a_period() -> None:
    found = updates([0.05, 0.35, 0.72])
    assert found.half_s[1:].tolist() == pytest.approx([0.05, 0.05])
    assert (np.abs(found.time_s[1:] - [0.3, 0.7]) <= found.half_s[1:]).all()


def test_a_reading_right_at_an_update_is_left_out() -> None:
    """It may show that update or the one before."""
    close = np.arange(0.031, 0.5, 0.002)
    clear, unclear = updates([*close, 1.05, 2.05]), updates([*close, 1.0003, 2.05])
    assert len(unclear.time_s) == len(clear.time_s) - 1
    assert unclear.time_s[-1] == pytest.approx(clear.time_s[-1], abs=0.005)


@pytest.mark.parametrize("seed", range(5))
def test_updates_are_within_what_they_claim(seed) -> None:
    """Half of their range is a bound, but for the drift that was estimated."""
    rng = np.random.default_rng(seed)
    phase_s = rng.uniform(0, 0.1)
    seldom_s = 1 + np.cumsum(rng.uniform(0.01, 0.9, 40))
    found = updates([*np.arange(0.031, 0.6, 0.002), *seldom_s], phase_s=phase_s)
    true_s = found.energy_j / 300  # the counter counts from 0
    off_s = np.abs(found.time_s - true_s)[1:]
    assert np.mean(off_s <= found.half_s[1:] + 0.001) >= 0.95


def test_seen_backwards_energy_still_rises() -> None:
    found = updates(np.arange(0.031, 1, 0.002)).reversed()
    assert (np.diff(found.time_s) > 0).all()
    assert (np.diff(found.energy_j) > 0).all()
