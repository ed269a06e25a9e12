"""Factors over time: by hand, properties over generated series, and files with mistakes in them."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.energy.carbon.factor import CarbonFactor
from harness.energy.carbon.series import CarbonSeries, Drawn, check_site, nanoseconds, read_series
from harness.errors import UsageError
from harness.settings.settings import Carbon

HOUR_NS = 3_600_000_000_000
KWH_J = 3.6e6
ROWS = """time,g_per_kwh
2026-01-01T00:00Z,100
2026-01-01T01:00Z,400
2026-01-01T02:00Z,200
"""

generated = settings(derandomize=True, deadline=None, max_examples=150)


def at_a_kilowatt(start_h: float, end_h: float) -> Drawn:
    """A load of one kilowatt, hours after midnight."""
    midnight_ns = nanoseconds(datetime(2026, 1, 1, tzinfo=UTC))
    return Drawn(
        midnight_ns + round(start_h * HOUR_NS),
        midnight_ns + round(end_h * HOUR_NS),
        lambda time_ns: (time_ns - midnight_ns) / HOUR_NS * KWH_J,
    )


def series(path: Path, text: str = ROWS, pue: float = 1.0) -> CarbonSeries:
    path.write_text(text)
    return read_series(path, "grid.csv", pue)


@pytest.mark.parametrize(
    ("hours", "kg", "outside"),
    [
        ([(0, 2)], 0.1 + 0.4, None),
        ([(0.5, 1.25)], 0.5 * 0.1 + 0.25 * 0.4, None),
        ([(1.25, 1.5)], 0.25 * 0.4, None),
        ([(1, 2)], 0.4, None),
        ([(0.5, 1), (1.5, 2)], 0.05 + 0.2, None),
        ([(-1, 1)], 0.1 + 0.1, "50.0%"),
        ([(1, 5)], 0.4 + 3 * 0.2, "75.0%"),
        ([(-1, 3)], 0.1 + 0.1 + 0.4 + 0.2, "50.0%"),
        ([(7, 8)], 0.2, "100.0%"),
        ([(0.25, 0.5), (2, 2.75)], 0.25 * 0.1 + 0.75 * 0.2, "75.0%"),
    ],
)
def test_by_hand(hours, kg, outside, tmp_path: Path) -> None:
    """One kilowatt, so each hour is a kilowatt-hour: 100 g, then 400 g, then 200 g."""
    found = series(tmp_path / "x").co2e([at_a_kilowatt(*each) for each in hours])
    assert found.kg == pytest.approx(kg)
    assert ("outside" in found.basis) == (outside is not None)
    assert outside is None or outside in found.basis


def test_the_basis_names_the_file_its_time_and_the_pue(tmp_path: Path) -> None:
    found = series(tmp_path / "x", pue=1.5).co2e([at_a_kilowatt(0, 1)])
    assert found.kg == pytest.approx(1.5 * 0.1)
    basis = "grid.csv, 2026-01-01T00:00:00+00:00 to 2026-01-01T02:00:00+00:00, PUE 1.5"
    assert found.basis == basis


GAPPY = """time,g_per_kwh
2026-01-01T00:00Z,100
2026-01-01T01:00Z,400
2026-01-01T05:00Z,200
2026-01-01T06:00Z,200
"""


@pytest.mark.parametrize(
    ("hours", "kg", "share"),
    [
        ((1, 5), 4 * 0.4, "75.0%"),
        ((0, 2), 0.1 + 0.4, None),
        ((4, 6), 0.4 + 0.2, "50.0%"),
        ((5, 6), 0.2, None),
    ],
)
def test_energy_in_a_gap_is_reported(hours, kg, share, tmp_path: Path) -> None:
    """An hour each, but for the second: it holds for one hour, and three are missing."""
    found = series(tmp_path / "x", GAPPY).co2e([at_a_kilowatt(*hours)])
    assert found.kg == pytest.approx(kg)
    assert ("in its gaps" in found.basis) == (share is not None)
    assert share is None or share in found.basis


def test_a_series_of_zeros_is_reported(tmp_path: Path) -> None:
    zeros = "time,g_per_kwh\n2026-01-01T00:00Z,0\n2026-01-01T01:00Z,0\n"
    found = series(tmp_path / "x", zeros).co2e([at_a_kilowatt(0, 1)])
    assert found.kg == 0
    assert "all of its factors are 0" in found.basis


@pytest.mark.parametrize(
    ("rows", "strange"),
    [
        ("time,g_per_kwh\n2026-01-01T00:00Z,0.35\n2026-01-01T01:00Z,0.41\n", True),
        ("time,kg_per_kwh\n2026-01-01T00:00Z,4\n2026-01-01T01:00Z,5\n", True),
        ("time,kg_per_kwh\n2026-01-01T00:00Z,0.35\n2026-01-01T01:00Z,0.41\n", False),
        ("time,g_per_kwh\n2026-01-01T00:00Z,0\n2026-01-01T01:00Z,1300\n", False),
    ],
)
def test_a_mean_that_no_grid_has_is_reported(rows, strange, tmp_path: Path) -> None:
    found = series(tmp_path / "x", rows).co2e([at_a_kilowatt(0, 1)])
    assert ("unit" in found.basis) == strange


@st.composite
def some_series(draw: st.DrawFn) -> CarbonSeries:
    steps = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=12))
    starts = tuple(itertools.accumulate(steps))
    factor = st.floats(0, 2).map(lambda kg: CarbonFactor(kg, f"{kg}"))
    factors = draw(st.lists(factor, min_size=len(starts), max_size=len(starts)))
    return CarbonSeries(starts, tuple(factors), draw(st.sampled_from([starts[-1], math.inf])))


@st.composite
def some_drawn(draw: st.DrawFn) -> Drawn:
    """Energy that never falls, and bends: of a power that changes at one moment."""
    start, bend, end = sorted(draw(st.tuples(*[st.integers(0, 10**7)] * 3)))
    low, high = draw(st.floats(0, 100)), draw(st.floats(0, 1e4))
    return Drawn(start, end, lambda t: low * min(t - start, bend - start) + high * max(t - bend, 0))


def energy_j(drawn: Drawn) -> float:
    return drawn.energy_j(drawn.end_ns) - drawn.energy_j(drawn.start_ns)


@generated
@given(some_series(), some_drawn(), st.floats(0, 2))
def test_a_series_that_never_changes_is_a_constant(over_time, drawn, kg_per_kwh) -> None:
    factor = CarbonFactor(kg_per_kwh, "the same")
    same = CarbonSeries(over_time.starts_ns, (factor,) * len(over_time.starts_ns))
    found = same.co2e([drawn])
    assert found.kg == pytest.approx(factor.co2e_kg(energy_j(drawn)))
    assert found.basis.startswith("the same")


@generated
@given(some_series(), some_drawn(), st.floats(0, 1))
def test_splitting_a_window_changes_nothing(over_time, drawn, place) -> None:
    middle = drawn.start_ns + round(place * (drawn.end_ns - drawn.start_ns))
    halves = [
        Drawn(drawn.start_ns, middle, drawn.energy_j),
        Drawn(middle, drawn.end_ns, drawn.energy_j),
    ]
    assert over_time.co2e(halves).kg == pytest.approx(over_time.co2e([drawn]).kg)


@generated
@given(some_series(), some_drawn())
def test_it_is_between_the_lowest_and_the_highest_factor(over_time, drawn) -> None:
    kg = over_time.co2e([drawn]).kg
    bounds = [factor.co2e_kg(energy_j(drawn)) for factor in over_time.factors]
    assert min(bounds) * (1 - 1e-9) <= kg <= max(bounds) * (1 + 1e-9)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
@pytest.mark.parametrize(("column", "scale"), [("kg_per_kwh", 1), ("g_per_kwh", 1000)])
def test_zones_units_and_other_columns_make_no_difference(
    zone, column: str, scale: int, tmp_path: Path
) -> None:
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC).astimezone(zone) for hour in range(3)]
    lines = [
        f"x,{time.isoformat()},{kg * scale}"
        for time, kg in zip(times, (0.1, 0.4, 0.2), strict=True)
    ]
    text = "\n".join([f"\ufeffremark,time,{column}", *lines])
    found = series(tmp_path / "x", text)
    assert found.starts_ns == series(tmp_path / "y").starts_ns
    assert [factor.kg_per_kwh for factor in found.factors] == pytest.approx([0.1, 0.4, 0.2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'time'"),
        ("time,g_per_kwh\n", "no rows"),
        ("timee,g_per_kwh\n", "no column 'time'; did you mean 'timee'"),
        ("time,gram\n", "no column of kg_per_kwh and g_per_kwh"),
        ("time,kg_per_kwh,g_per_kwh\n", "both columns of kg_per_kwh and g_per_kwh"),
        ("time,g_per_kwh\n2026-01-01T00:00,5\n", "line 2: time 2026-01-01T00:00 has no zone"),
        ("time,g_per_kwh\nyesterday,5\n", "line 2: Invalid isoformat string: 'yesterday'"),
        ("time,g_per_kwh\n2026-01-01T00:00Z\n", "line 2: could not convert"),
        (ROWS + "2026-01-01T03:00Z,much\n", "line 5: could not convert string to float: 'much'"),
        (ROWS + "2026-01-01T03:00Z,-1\n", "line 5: g_per_kwh -1 is not between"),
        (ROWS + "2026-01-01T03:00Z,nan\n", "line 5: g_per_kwh nan is not between"),
        (ROWS.replace("g_per", "kg_per"), "line 2: kg_per_kwh 100 is not between 0 and 10 kg/kWh"),
        (ROWS + "2026-01-01T02:00Z,1\n", "2026-01-01T02:00:00+00:00 does not come after"),
        (ROWS + "2026-01-01T02:30+01:00,1\n", "2026-01-01T02:30:00+01:00 does not come after"),
    ],
)
def test_a_wrong_file_is_reported_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.csv"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        check_site(Carbon(series=str(file), kg_per_kwh=0.3))
    assert str(caught.value).startswith(f"carbon.series: {file}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"time,g_per_kwh\n\xff\xfe", "not CSV")]
)
def test_a_file_that_cannot_be_read_is_reported(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "grid.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        check_site(Carbon(series=str(file)))
