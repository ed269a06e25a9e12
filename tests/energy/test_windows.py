"""From readings to joules: by hand, and properties over generated readings."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.energy.integration.curve import Joules
from harness.energy.integration.windows import EnergyCurve, chosen, curves, total
from harness.energy.sensors.base import Sensor
from harness.energy.trace import Readings, Trace, read_trace
from tests.conftest import REPOSITORY
from tests.energy.traces import SECOND, counted, readings, sensor
from tests.fakes.known_power import KnownPower

generated = settings(derandomize=True, deadline=None, max_examples=150)


def seconds(*times: float) -> tuple[int, ...]:
    return tuple(round(time * SECOND) for time in times)


SENSORS = (
    sensor(),
    sensor(update_s=0.1, ceiling_w=400.0, resolution_j=0.001),
    sensor("power"),
    sensor("power", update_s=0.1, window_s=0.025, ceiling_w=400.0),
    sensor("power", update_s=0.1, window_s=1.0),
)


@st.composite
def some_readings(draw: st.DrawFn, of: Sensor) -> Readings:
    steps_ms = draw(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
    times_ms = list(itertools.accumulate(steps_ms, initial=draw(st.integers(0, 10**9))))
    count = len(times_ms)
    values = draw(st.lists(st.floats(-10, 20_000), min_size=count, max_size=count))
    if of.quantity == "energy" and draw(st.booleans()):
        values = np.cumsum(np.abs(values)).tolist()
    failed = draw(st.lists(st.sampled_from(times_ms), max_size=3))
    return readings(
        [time / 1000 for time in times_ms], values, of, [time / 1000 for time in sorted(failed)]
    )


@st.composite
def tilings(draw: st.DrawFn) -> tuple[EnergyCurve, list[int]]:
    """A curve, and borders of which it knew all, some or none."""
    best = draw(some_readings(draw(st.sampled_from(SENSORS))))
    first, last = (int(time) for time in best.time_ns[[0, -1]])
    border = st.integers(max(2 * first - last, 0), 2 * last - first + 1)
    borders = sorted(draw(st.lists(border, min_size=2, max_size=12, unique=True)))
    filler = None
    if best.sensor.quantity == "energy" and draw(st.booleans()):
        filler = draw(some_readings(SENSORS[3]))
    known = draw(st.lists(st.sampled_from(borders))) if draw(st.booleans()) else borders
    return EnergyCurve(best, filler, known, 0.05), borders


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


def pairs(borders):
    return list(itertools.pairwise(borders))


@generated
@given(tilings())
def test_windows_that_tile_a_span_add_up_to_it(tiling) -> None:
    curve, borders = tiling
    parts = [curve.between(*pair) for pair in itertools.pairwise(borders)]
    outer = curve.between(borders[0], borders[-1])
    whole_j = curve.between(0, 2**62).energy_j
    assert total(parts).energy_j == pytest.approx(outer.energy_j, rel=1e-9, abs=1e-9 * whole_j)
    seen_s = [part.coverage * (b - a) for part, (a, b) in zip(parts, pairs(borders), strict=True)]
    assert sum(seen_s) == pytest.approx(outer.coverage * (borders[-1] - borders[0]), abs=10)


@generated
@given(tilings())
def test_no_window_is_negative_or_overcovered(tiling) -> None:
    curve, borders = tiling
    for pair in itertools.pairwise(borders):
        drawn = curve.between(*pair)
        assert drawn.energy_j >= -1e-8 * curve.between(0, 2**62).energy_j
        assert min(drawn.gain_j, drawn.border_j, drawn.gap_j, drawn.aliasing_j) >= 0
        assert math.isfinite(drawn.uncertainty_j)
        assert 0 <= drawn.coverage <= 1


@generated
@given(tilings())
def test_energy_never_falls(tiling) -> None:
    curve, borders = tiling
    energies_j = [curve.at(border) for border in borders]
    whole_j = curve.at(2**62)
    assert (np.diff(energies_j) >= -1e-9 * whole_j).all()


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


@generated
@given(tilings())
def test_many_windows_at_once_are_each_what_they_are_alone(tiling) -> None:
    curve, borders = tiling
    pairs = [*itertools.permutations(borders[:4], 2), (borders[0], borders[0])]
    starts, ends = zip(*pairs, strict=True)
    assert curve.windows(starts, ends) == [curve.between(*pair) for pair in pairs]
    assert curve.windows([], []) == []
    for (start, end), found in zip(pairs, curve.windows(starts, ends), strict=True):
        assert found.energy_j == curve.at(end) - curve.at(start)


def test_border_on_a_reading_of_a_fresh_counter_is_certain() -> None:
    curve = EnergyCurve(readings([0, 1, 2], [0, 10, 30]), edges_ns=seconds(0, 1))
    assert curve.between(*seconds(0, 1)).border_j == 0


@pytest.mark.parametrize("update_s", [0.02, 0.1])
@pytest.mark.parametrize("period_s", [0.01, 0.05, 0.2])
def test_borders_hold_however_reading_and_updating_meet(update_s, period_s) -> None:
    """Constant power: what is found may be off by what the borders claim, hardly ever by more."""
    draw = np.random.default_rng(0)
    times = np.arange(0, 60, period_s)
    times += draw.uniform(0, period_s / 10, len(times))
    counter = sensor(resolution_j=0.001, update_s=update_s)
    counter_readings = counted(KnownPower(200), times.tolist(), counter)
    starts = draw.uniform(1, 50, 100)
    windows = [(start, start + draw.uniform(0.2, 5)) for start in starts]
    held = 0
    for start, end in windows:
        border = seconds(start, end)
        found = EnergyCurve(counter_readings, None, border).between(*border)
        held += abs(found.energy_j - 200 * (end - start)) <= found.border_j
    assert held >= 0.95 * len(windows)


def test_no_border_is_known_better_than_the_resolution() -> None:
    curve = EnergyCurve(readings([0, 1], [0, 10], sensor(resolution_j=0.25)))
    assert curve.between(*seconds(0, 1)).border_j == 0.25


def test_gain_is_a_share_of_the_energy() -> None:
    curve = EnergyCurve(readings([0, 1], [0, 40], sensor(relative_uncertainty=0.05)))
    assert curve.between(*seconds(0, 1)).gain_j == pytest.approx(2)


def test_uncertainty_takes_all_parts() -> None:
    assert Joules(10, 1, 1, 1, 1, 1).uncertainty_j == 2


def test_total_adds_gains_and_squares_of_borders_and_takes_the_worst_coverage() -> None:
    found = total([Joules(10, 1, 3, 5, 7, 0.9), Joules(20, 2, 4, 6, 8, 0.6)])
    assert found == Joules(30, 3, 5, gap_j=11, aliasing_j=15, coverage=0.6)


def test_total_of_nothing_claims_nothing() -> None:
    assert total([]) == Joules(0, 0, 0, 0, 0, 0)


COUNTER, POWER = sensor(), sensor("power", "sampled")
OTHER = sensor("power", "sampled", device="GPU-1")
AVERAGE = sensor("power", "sampled", window_s=1.0)
MEMORY = sensor("power", "sampled", part="memory")
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
        ([AVERAGE, POWER], [1]),
        ([MEMORY, POWER], [1]),
        ([MEMORY], []),
        ([], []),
    ],
)
def test_one_sensor_a_device_counters_first_estimates_alone(sensors, expected) -> None:
    assert chosen(sensors) == expected


def test_counter_that_reading_falsifies_is_passed_over() -> None:
    assert chosen([COUNTER, POWER], falsified={0}) == [1]
    assert chosen([COUNTER], falsified={0}) == [0]


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


OLD_TRACES = sorted((REPOSITORY / "tests/results/format_1/runs").glob("*/*/trace-1.jsonl"))


def test_there_are_old_traces_to_read() -> None:
    assert len(OLD_TRACES) == 3


@pytest.mark.parametrize("path", OLD_TRACES, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_traces_of_earlier_versions_read_as_they_did(path) -> None:
    """They say nothing of updates, and hold every reading: the counter's last less its first."""
    (readings_of_old,) = read_trace(path).readings
    (curve,) = curves(read_trace(path))
    drawn = curve.between(int(readings_of_old.time_ns[0]), int(readings_of_old.time_ns[-1]))
    value = readings_of_old.value
    assert drawn.energy_j == pytest.approx(value[-1] - value[0])
    assert drawn.coverage == pytest.approx(1)
    assert drawn.gap_j == drawn.aliasing_j == 0
