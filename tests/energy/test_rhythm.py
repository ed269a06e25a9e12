"""Finding how often a counter is updated from readings of it."""

from __future__ import annotations

import numpy as np
import pytest

from harness.energy.integration.update_period import SHARP_NS, sharp_updates, update_period_s

MS = 1_000_000


def stairs(times_ns: np.ndarray, update_ns: int, phase_ns: int = 0) -> np.ndarray:
    return ((times_ns - phase_ns) // update_ns).astype(float)


def test_update_is_between_the_last_old_and_the_first_new_reading() -> None:
    found = sharp_updates(np.array([0, 2, 4, 6]) * MS, np.array([1.0, 1.0, 5.0, 5.0]))
    assert found.time_ns.tolist() == [3 * MS]
    assert found.half_ns.tolist() == [MS]
    assert found.first.tolist() == [2]


@pytest.mark.parametrize(("apart_ns", "count"), [(SHARP_NS, 1), (SHARP_NS + 1, 0)])
def test_update_between_readings_far_apart_is_not_sharp(apart_ns, count) -> None:
    found = sharp_updates(np.array([0, apart_ns]), np.array([1.0, 2.0]))
    assert len(found.time_ns) == count


@pytest.mark.parametrize("update_ms", [20, 50, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_period_is_found_from_half_a_second_of_close_readings(update_ms, seed) -> None:
    rng = np.random.default_rng(seed)
    times_ns = np.cumsum(rng.integers(1.9 * MS, 2.2 * MS, 250))
    value = stairs(times_ns, update_ms * MS, int(rng.integers(100 * MS)))
    assert update_period_s(times_ns, value) == pytest.approx(update_ms / 1000, rel=0.03)


def test_period_is_found_though_most_updates_were_not_watched() -> None:
    watched = [np.arange(0, 450, 2), np.arange(1450, 1550, 2), np.arange(2450, 2550, 2)]
    times_ns = np.concatenate(watched) * MS
    assert update_period_s(times_ns, stairs(times_ns, 100 * MS)) == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("end_ms", [0, 90, 199])
def test_fewer_than_three_updates_tell_no_period(end_ms) -> None:
    times_ns = np.arange(0, end_ms, 2) * MS + 50 * MS
    assert update_period_s(times_ns, stairs(times_ns, 100 * MS)) is None


def test_period_is_found_in_an_hour_of_updates_watched_a_second_apart() -> None:
    rng = np.random.default_rng(0)
    starts_ns = np.concatenate([[0], np.arange(1, 3600) * 1000 * MS + 90 * MS])
    lengths = [450, *[20] * 3599]
    pieces = [s + np.arange(0, n, 2) * MS for s, n in zip(starts_ns, lengths, strict=True)]
    times_ns = np.concatenate(pieces) + rng.integers(0, MS // 10)
    assert update_period_s(times_ns, stairs(times_ns, 100 * MS)) == pytest.approx(0.1, rel=0.03)
