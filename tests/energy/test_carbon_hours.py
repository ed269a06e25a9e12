"""The factor by the hour a run begins: by hand, and against CO2e at a constant power."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.energy.carbon.factor import COUNTRIES, CarbonFactor, reference_places
from harness.energy.carbon.series import CarbonSeries, Drawn, by_hour, nanoseconds, read_series

HOUR_S = 3600.0
HOUR_NS = 3_600_000_000_000
MIDNIGHT = datetime(2026, 3, 28, tzinfo=UTC)
"""The night after it, Europe's clocks change; UTC has no such hour."""

generated = settings(derandomize=True, deadline=None, max_examples=60)


def series(factors: list[float], start: datetime = MIDNIGHT, step_h: float = 1.0) -> CarbonSeries:
    """A factor every `step_h` hours; the last ends the series where it begins, as in a file."""
    starts_ns = tuple(nanoseconds(start) + round(n * step_h * HOUR_NS) for n in range(len(factors)))
    found = tuple(CarbonFactor(factor, "test") for factor in factors)
    return CarbonSeries(starts_ns, found, starts_ns[-1])


def means(found: list[dict[str, float]]) -> dict[int, float]:
    return {int(row["hour"]): row["kg_per_kwh"] for row in found}


def test_a_constant_factor_is_the_same_at_every_hour() -> None:
    found = by_hour(series([0.3] * 49), 5400.0)
    assert [row["hour"] for row in found] == list(range(24))
    for row in found:
        ends = (row["kg_per_kwh"], row["kg_per_kwh_low"], row["kg_per_kwh_high"])
        assert ends == pytest.approx((0.3, 0.3, 0.3))


def test_a_step_is_weighed_by_time() -> None:
    # 0.1 until 06:00, then 0.5; a run of two and a half hours that must end by 12:00.
    found = means(by_hour(series([0.1] * 6 + [0.5] * 7), 2.5 * HOUR_S))
    assert sorted(found) == list(range(10))
    assert found[3] == pytest.approx(0.1)
    assert found[4] == pytest.approx((2 * 0.1 + 0.5 * 0.5) / 2.5)
    assert found[5] == pytest.approx((1 * 0.1 + 1.5 * 0.5) / 2.5)
    assert found[6] == pytest.approx(0.5)


def test_the_mean_is_over_days_and_the_band_from_the_lowest_to_the_highest() -> None:
    days = [0.1, 0.2, 0.6]
    found = by_hour(series([factor for factor in days for _ in range(24)] + [9.0]), HOUR_S)
    assert [row["hour"] for row in found] == list(range(24))
    for row in found:
        assert row["kg_per_kwh"] == pytest.approx(0.3)
        assert (row["kg_per_kwh_low"], row["kg_per_kwh_high"]) == pytest.approx((0.1, 0.6))


def test_a_run_goes_on_past_midnight() -> None:
    found = means(by_hour(series([0.1] * 24 + [0.5] * 25), 4 * HOUR_S))
    # The first night 1 h at 0.1 and 3 h at 0.5; the second would end after the series.
    assert found[23] == pytest.approx((1 * 0.1 + 3 * 0.5) / 4)
    # Of the two days, the second has only hours from which the run ends in time.
    assert found[20] == pytest.approx((0.1 + 0.5) / 2)
    assert found[21] == pytest.approx((3 * 0.1 + 1 * 0.5) / 4)


def test_hours_are_those_of_utc_whatever_zone_the_series_is_in(tmp_path: Path) -> None:
    path = tmp_path / "grid.csv"
    zone = timezone(timedelta(hours=5, minutes=30))
    start = MIDNIGHT.astimezone(zone).replace(hour=0, minute=0)
    lines = [f"{(start + timedelta(hours=n)).isoformat()},{100 + n}" for n in range(4)]
    path.write_text("\n".join(["time,g_per_kwh", *lines]))
    # From 18:30 to 21:30 UTC: two runs of an hour begin at a full hour and end in time.
    found = means(by_hour(read_series(path, "grid.csv", 1.0), HOUR_S))
    assert found == pytest.approx({19: 0.1005, 20: 0.1015})


def test_the_night_of_a_clock_change_has_as_many_hours_as_any() -> None:
    factors = [n / 100 for n in range(49)]
    found = means(by_hour(series(factors), HOUR_S))
    assert found == pytest.approx(
        {hour: (hour / 100 + (hour + 24) / 100) / 2 for hour in range(24)}
    )


@pytest.mark.parametrize("duration_s", [3 * HOUR_S + 1, 1e9, 0.0, -1.0, math.nan, math.inf])
def test_no_hour_where_no_run_fits(duration_s: float) -> None:
    assert by_hour(series([0.1, 0.2, 0.3, 0.4]), duration_s) == []


def test_a_run_fits_exactly() -> None:
    assert means(by_hour(series([0.1, 0.2, 0.3, 0.4]), 3 * HOUR_S)) == pytest.approx({0: 0.2})


def test_one_moment_or_less_than_an_hour_has_no_run() -> None:
    assert by_hour(series([0.1]), 1.0) == []
    start = MIDNIGHT + timedelta(minutes=10)
    assert by_hour(series([0.1, 0.2], start, step_h=0.5), 1.0) == []


def test_a_factor_that_holds_for_ever_says_nothing_of_the_future() -> None:
    finite = series([0.1, 0.2, 0.3])
    endless = CarbonSeries(finite.starts_ns, finite.factors)
    assert by_hour(endless, HOUR_S) == by_hour(finite, HOUR_S)


@generated
@given(
    factors=st.lists(st.floats(0, 2), min_size=3, max_size=30),
    step_h=st.sampled_from([0.25, 0.5, 1.0, 1.75]),
    late_min=st.integers(0, 90),
    duration_s=st.floats(1.0, 4 * HOUR_S),
)
def test_it_is_the_co2e_of_a_constant_power(
    factors: list[float], step_h: float, late_min: int, duration_s: float
) -> None:
    start = MIDNIGHT + timedelta(minutes=late_min)
    carbon = series(factors, start, step_h)
    duration_ns = round(duration_s * 1e9)
    by_clock: dict[int, list[float]] = {}
    for hour in range(60):
        begin_ns = nanoseconds(MIDNIGHT) + hour * HOUR_NS
        if carbon.starts_ns[0] <= begin_ns and begin_ns + duration_ns <= carbon.end_ns:
            # A kilowatt-hour, spread evenly: kilograms are the factor.
            drawn = Drawn(
                begin_ns,
                begin_ns + duration_ns,
                lambda time_ns, begin_ns=begin_ns: (time_ns - begin_ns) / duration_ns * 3.6e6,
            )
            by_clock.setdefault(hour % 24, []).append(carbon.co2e([drawn]).kg)
    found = by_hour(carbon, duration_s)
    assert [row["hour"] for row in found] == sorted(by_clock)
    for row in found:
        kg = by_clock[row["hour"]]
        expected = (sum(kg) / len(kg), min(kg), max(kg))
        ends = (row["kg_per_kwh"], row["kg_per_kwh_low"], row["kg_per_kwh_high"])
        assert ends == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_places_to_compare_with_are_comparable() -> None:
    found = reference_places(pue=1.5)
    assert list(found) == list(COUNTRIES)
    assert all(
        "life cycle" in factor.basis and "PUE 1.5" in factor.basis for factor in found.values()
    )
    factors = [factor.kg_per_kwh for factor in found.values()]
    assert factors[-1] > 10 * factors[0]
