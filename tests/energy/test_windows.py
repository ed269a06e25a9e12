"""From readings to joules: by hand, and properties over generated readings."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.energy.trace import Trace
from harness.energy.windows import EnergyCurve, Joules, chosen, curves, total
from tests.energy.traces import SECOND, readings, sensor

generated = settings(derandomize=True, deadline=None, max_examples=150)


def seconds(*times: float) -> tuple[int, ...]:
    return tuple(round(time * SECOND) for time in times)


@st.composite
def some_curves(draw: st.DrawFn) -> EnergyCurve:
    steps = draw(st.lists(st.integers(1, 10**10), min_size=1, max_size=30))
    times = list(itertools.accumulate(steps, initial=draw(st.integers(0, 10**15))))
    value = st.floats(0, 1e9, allow_subnormal=False)
    values = draw(st.lists(value, min_size=len(times), max_size=len(times)))
    of = sensor(draw(st.sampled_from(["energy", "power"])))
    return EnergyCurve(readings([time / SECOND for time in times], values, of))


@st.composite
def tilings(draw: st.DrawFn) -> tuple[EnergyCurve, list[int]]:
    curve = draw(some_curves())
    first, last = (int(time) for time in curve._time_ns[[0, -1]])
    span = last - first + 1
    border = st.integers(max(first - span, 0), last + span)
    return curve, sorted(draw(st.lists(border, min_size=2, max_size=12, unique=True)))


@pytest.mark.parametrize(
    ("window", "energy_j"),
    [
        ((0, 3), 90),  # all
        ((1, 2), 20),  # reading to reading
        ((0.5, 1), 5),  # half of the first interval
        ((1.5, 2.25), 25),  # 10 + 15
        ((1.25, 1.75), 10),  # within one interval
        ((-5, 1), 10),  # flat before the first reading
        ((2, 50), 60),  # and after the last one
        ((7, 8), 0),
    ],
)
def test_counter_by_hand(window, energy_j) -> None:
    curve = EnergyCurve(readings([0, 1, 2, 3], [100, 110, 130, 190]))
    assert curve.between(*seconds(*window)).energy_j == pytest.approx(energy_j)


@pytest.mark.parametrize(
    ("window", "energy_j"),
    [
        ((0, 2), 200),  # 100 W for 2 s
        ((2, 4), 400),  # 100 W to 300 W in 2 s: 200 W on average
        ((0, 5), 900),
        ((4, 4.5), 150),
        ((2, 3), 200),  # between readings, an interval's energy is spread evenly
    ],
)
def test_power_by_hand(window, energy_j) -> None:
    curve = EnergyCurve(readings([0, 2, 4, 5], [100, 100, 300, 300], sensor("power")))
    assert curve.between(*seconds(*window)).energy_j == pytest.approx(energy_j)


@generated
@given(tilings())
def test_windows_that_tile_a_span_add_up_to_it(tiling) -> None:
    curve, borders = tiling
    parts = [curve.between(*pair) for pair in itertools.pairwise(borders)]
    outer = curve.between(borders[0], borders[-1])
    whole_j = curve.between(0, 2**62).energy_j
    assert total(parts).energy_j == pytest.approx(outer.energy_j, rel=1e-9, abs=1e-9 * whole_j)


@generated
@given(tilings())
def test_no_window_is_negative_or_overcovered(tiling) -> None:
    curve, borders = tiling
    for pair in itertools.pairwise(borders):
        drawn = curve.between(*pair)
        assert min(drawn.energy_j, drawn.gain_j, drawn.border_j) >= 0
        assert 0 <= drawn.coverage <= 1


def test_counter_that_was_reset_loses_one_step_only() -> None:
    curve = EnergyCurve(readings([0, 1, 2, 3], [1000, 1010, 4, 9]))
    assert curve.between(*seconds(1, 2)).energy_j == 0
    assert curve.between(*seconds(0, 3)).energy_j == 15


@pytest.mark.parametrize(
    ("window", "coverage"),
    [
        ((12, 18), 1),
        ((10, 20), 1),
        ((5, 15), 0.5),
        ((15, 25), 0.5),
        ((5, 25), 0.5),
        ((0, 10), 0),
        ((0, 5), 0),
        ((20, 30), 0),
        ((25, 30), 0),
        ((15, 15), 0),
    ],
)
def test_coverage_is_the_share_between_first_and_last_reading(window, coverage) -> None:
    curve = EnergyCurve(readings([10, 14, 20], [0, 1, 2]))
    assert curve.between(*seconds(*window)).coverage == pytest.approx(coverage)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_readings_cover_nothing(count) -> None:
    curve = EnergyCurve(readings([1.0][:count], [5.0][:count]))
    drawn = curve.between(*seconds(0, 2))
    assert (drawn.energy_j, drawn.coverage) == (0, 0)


def test_border_on_a_reading_is_certain() -> None:
    curve = EnergyCurve(readings([0, 1, 2], [0, 10, 30]))
    assert curve.between(*seconds(0, 1)).border_j == 0


@pytest.mark.parametrize(
    ("window", "border_j"),
    [
        ((0, 1.5), 0.95 * 20 * 0.5),
        ((0, 1.25), 0.95 * 20 * 0.75),
        ((0, 1.75), 0.95 * 20 * 0.75),
        ((0.5, 1.5), math.hypot(0.95 * 10 * 0.5, 0.95 * 20 * 0.5)),
        ((-1, 3), 0),
    ],
)
def test_border_between_readings_by_hand(window, border_j) -> None:
    curve = EnergyCurve(readings([0, 1, 2], [0, 10, 30]))
    assert curve.between(*seconds(*window)).border_j == pytest.approx(border_j)


def test_counter_that_has_not_moved_yet_leaves_the_border_open() -> None:
    """Read twice a second, updated once: half of a step is drawn by half of its second."""
    curve = EnergyCurve(readings([0, 0.5, 1, 1.5, 2], [0, 0, 20, 20, 60]))
    drawn = curve.between(*seconds(0, 0.5))
    assert drawn.energy_j == pytest.approx(10)
    assert drawn.border_j == pytest.approx(0.95 * 20 * 0.5)


@pytest.mark.parametrize("update_s", [0.02, 0.1])
@pytest.mark.parametrize("period_s", [0.01, 0.05, 0.2])
def test_borders_hold_however_reading_and_updating_meet(update_s, period_s) -> None:
    """Constant power: what is found may be off by what the borders claim, hardly ever by more."""
    draw = np.random.default_rng(0)
    times = np.arange(0, 60, period_s)
    times += draw.uniform(0, period_s / 10, len(times))
    counter = sensor(resolution_j=0.001)
    curve = EnergyCurve(readings(times, 200 * update_s * np.floor(times / update_s), counter))
    starts = draw.uniform(1, 50, 300)
    windows = [(start, start + draw.uniform(0.2, 5)) for start in starts]
    found = [curve.between(*seconds(*window)) for window in windows]
    true_j = [200 * (end - start) for start, end in windows]
    held = [abs(f.energy_j - t) <= f.border_j for f, t in zip(found, true_j, strict=True)]
    assert np.mean(held) >= 0.95


def test_no_border_is_known_better_than_the_resolution() -> None:
    curve = EnergyCurve(readings([0, 1], [0, 10], sensor(resolution_j=0.25)))
    assert curve.between(*seconds(0, 1)).border_j == 0.25


def test_gain_is_a_share_of_the_energy() -> None:
    curve = EnergyCurve(readings([0, 1], [0, 40], sensor(relative_uncertainty=0.05)))
    assert curve.between(*seconds(0, 1)).gain_j == pytest.approx(2)


def test_uncertainty_takes_both_parts() -> None:
    assert Joules(10, 3, 4, 1).uncertainty_j == 5


def test_total_adds_gains_and_squares_of_borders_and_takes_the_worst_coverage() -> None:
    found = total([Joules(10, 1, 3, 0.9), Joules(20, 2, 4, 0.6)])
    assert found == Joules(energy_j=30, gain_j=3, border_j=5, coverage=0.6)


def test_total_of_nothing_claims_nothing() -> None:
    assert total([]) == Joules(0, 0, 0, 0)


COUNTER, POWER = sensor(), sensor("power", "sampled")
OTHER = sensor("power", "sampled", device="GPU-1")
SIMULATED = sensor("energy", "simulated", device="GPU-2")
ESTIMATE = sensor("energy", "estimated", device="cpu:host")


@pytest.mark.parametrize(
    ("sensors", "expected"),
    [
        ([COUNTER, POWER], [0]),
        ([POWER, COUNTER], [1]),
        ([POWER], [0]),
        ([COUNTER, POWER, OTHER], [0, 2]),
        ([ESTIMATE], [0]),
        ([ESTIMATE, POWER], [1]),
        ([COUNTER, POWER, ESTIMATE], [0]),
        ([SIMULATED, ESTIMATE], [0]),
        ([], []),
    ],
)
def test_one_sensor_a_device_counters_first_estimates_alone(sensors, expected) -> None:
    assert chosen(sensors) == expected


def silent(of):
    return readings([], [], of)


def test_power_stands_in_for_a_counter_that_never_answered() -> None:
    trace = Trace((silent(COUNTER), readings([0, 1], [100, 100], POWER)))
    assert [curve.sensor for curve in curves(trace)] == [POWER]


def test_estimate_stands_in_for_a_gpu_that_never_answered() -> None:
    trace = Trace((silent(COUNTER), silent(POWER), readings([0, 1], [0, 5], ESTIMATE)))
    assert [curve.sensor for curve in curves(trace)] == [ESTIMATE]


def test_gpu_that_never_answered_is_not_covered_by_the_others() -> None:
    """Its energy is missing from the total, which must not look complete."""
    trace = Trace((readings([0, 1], [0, 5], COUNTER), silent(OTHER)))
    drawn = total(curve.between(*seconds(0, 1)) for curve in curves(trace))
    assert (drawn.energy_j, drawn.coverage) == (5, 0)
