"""Over which time a counter is trusted."""

from __future__ import annotations

import numpy as np
import pytest

from harness.energy.integration.counter import stood_still, stretches
from tests.energy.traces import counted, readings, sensor
from tests.fakes.known_power import KnownPower

SLOW = sensor(update_s=0.1, ceiling_w=400.0)
NO_BORDERS = np.zeros(0)
TIMES_S = np.arange(0.01, 5, 0.02)


def values() -> np.ndarray:
    return counted(KnownPower(300), TIMES_S.tolist(), SLOW).value.copy()


def spans(value, of=SLOW, times_s=TIMES_S):
    parts = stretches(readings(list(times_s), list(value), of), NO_BORDERS)
    return [(float(part.time_s[0]), float(part.time_s[-1])) for part in parts]


def test_sound_counter_is_one_stretch() -> None:
    ((start_s, end_s),) = spans(values())
    assert (start_s, end_s) == pytest.approx((0, 5), abs=0.06)


def test_counter_set_back_is_two_stretches() -> None:
    value = values()
    value[TIMES_S >= 2] -= value[TIMES_S >= 2][0]
    first, second = spans(value)
    assert first[1] <= 2.0 <= second[0] + 0.11
    assert second[1] == pytest.approx(5, abs=0.06)


def test_time_in_which_a_counter_stood_still_is_left_out() -> None:
    value = values()
    still = (TIMES_S > 1.5) & (TIMES_S < 3.5)
    value[still] = value[~still][TIMES_S[~still] <= 1.5][-1]
    first, second = spans(value)
    assert first[1] == pytest.approx(1.5, abs=0.15)
    assert second[0] == pytest.approx(3.5, abs=0.15)


def test_counter_that_nobody_read_is_still_trusted() -> None:
    """What it counted meanwhile is in its next reading."""
    read = (TIMES_S < 1) | (TIMES_S > 4)
    ((start_s, end_s),) = spans(values()[read], times_s=TIMES_S[read])
    assert end_s - start_s > 4.9


def test_leap_is_no_energy() -> None:
    value = values()
    value[TIMES_S >= 2] += 5000
    found = stretches(readings(list(TIMES_S), list(value), SLOW), NO_BORDERS)
    assert len(found) == 2
    assert sum(part.energy_j[-1] - part.energy_j[0] for part in found) < 1500


def test_leap_is_judged_by_the_board_s_limit_if_it_is_known() -> None:
    value = values()
    value[TIMES_S >= 2] += 600  # in one update: 6 kW
    assert len(spans(value)) == 2
    assert len(spans(value, of=sensor(update_s=0.5))) == 1


def test_fast_counter_may_stand_still() -> None:
    """RAPL's are unwrapped by their meter, and DRAM may draw next to nothing."""
    assert len(spans(np.full(len(TIMES_S), 7.0), of=sensor(update_s=0.001))) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_readings_are_no_stretch(count) -> None:
    assert spans(values()[:count], times_s=TIMES_S[:count]) == []


@pytest.mark.parametrize(("update_s", "flagged"), [(0.1, True), (0.25, True), (0.5, False)])
def test_standing_still_is_longer_than_three_updates(update_s, flagged) -> None:
    """One that is slower than any known, but regular, does not; it is frozen for a second."""
    close_s = [*np.arange(0.031, 3, 0.002)]
    counter = counted(KnownPower(300), close_s, sensor(update_s=update_s))
    known = readings(close_s, counter.value.tolist(), sensor(update_s=0.1))
    assert not stood_still(known)
    frozen = np.minimum(known.value, 300 * 2.0)
    assert stood_still(readings(close_s, frozen.tolist(), sensor(update_s=0.1))) == flagged
