"""When to run: by a threshold and by the greenest part of a window, and what cannot be answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.energy.carbon import green_times as green
from harness.energy.carbon.green_times import Foreseen, GreenTimes, green_times
from harness.energy.carbon.series import HOUR_NS, nanoseconds
from harness.errors import UsageError
from harness.settings.settings import Carbon

START = datetime(2026, 3, 1, tzinfo=UTC)
START_NS = nanoseconds(START)
GRAMS = (400, 300, 80, 90, 350, 60, 60, 500, 70, 400)
"""By the hour from START; the last row ends the series."""


def series(folder: Path, grams: tuple[float, ...] = GRAMS, gap_after: int | None = None) -> Carbon:
    rows = [
        f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%MZ},{g}"
        for hour, g in enumerate(grams)
        if gap_after is None or not gap_after < hour < gap_after + 3
    ]
    (folder / "grid.csv").write_text("time,g_per_kwh\n" + "\n".join(rows) + "\n")
    # A building's PUE changes no order, and no threshold of the grid's.
    return Carbon(series=str(folder / "grid.csv"), pue=1.5)


def asked(site: Carbon, hour: float = 0, takes_h: float | None = 3.0, **asks: Any) -> GreenTimes:
    found = green_times(
        site,
        START_NS + round(hour * HOUR_NS),
        below_g_per_kwh=asks.get("below"),
        within_s=asks["within_h"] * 3600 if "within_h" in asks else None,
        takes_s=lambda: None if takes_h is None else takes_h * 3600,
        ask_now=asks.get("ask_now", lambda: {"error": "not asked"}),
    )
    assert found is not None
    return found


def open_hours(times: GreenTimes, hours: range = range(9)) -> list[int]:
    """The hours in whose middle it is time to run."""
    middle = [START_NS + round((hour + 0.5) * HOUR_NS) for hour in hours]
    return [h for h, at_ns in zip(hours, middle, strict=True) if times.state(at_ns).is_open]


def test_without_either_option_nothing_waits() -> None:
    none = green_times(
        Carbon(),
        START_NS,
        below_g_per_kwh=None,
        within_s=None,
        takes_s=lambda: None,
        ask_now=dict,
    )
    assert none is None


def test_below_a_threshold_by_the_grids_own_factor(tmp_path: Path) -> None:
    times = asked(series(tmp_path), below=90)
    assert open_hours(times) == [2, 5, 6, 8], "90 is not below 90"
    assert times.state(START_NS + 9 * HOUR_NS).is_open is None, "after the series nothing is known"
    text = times.state(START_NS).text
    assert green.clock_time(START_NS + 2 * HOUR_NS) in text


def test_in_a_gap_nothing_runs(tmp_path: Path) -> None:
    times = asked(series(tmp_path, gap_after=5), below=500)
    # Of hour 5 the next factor is three hours later: it is known to hold for one.
    assert open_hours(times) == [0, 1, 2, 3, 4, 5, 8]


@pytest.mark.parametrize(
    ("takes_h", "hours"),
    [(0.5, [5]), (2.0, [5, 6]), (3.0, [5, 6, 8]), (3.5, [2, 5, 6, 8]), (5.0, [2, 3, 5, 6, 8])],
)
def test_the_greenest_hours_that_are_long_enough(
    takes_h: float, hours: list[int], tmp_path: Path
) -> None:
    times = asked(series(tmp_path), takes_h=takes_h, within_h=9)
    assert open_hours(times) == hours
    assert times.state(START_NS + 9 * HOUR_NS).is_open, "what takes longer is finished"


def test_the_window_begins_with_the_command(tmp_path: Path) -> None:
    times = asked(series(tmp_path), hour=2.5, takes_h=1.0, within_h=2)
    assert isinstance(times, Foreseen)
    assert times.opens_ns(START_NS) == START_NS + round(2.5 * HOUR_NS), "the rest of hour 2 is next"
    assert open_hours(times, range(4)) == [2, 3]


def test_a_short_pause_is_left_out() -> None:
    minute = 60_000_000_000
    grams = (50, 50, 51, 50, 50, 90, 90, 90, 90, 50)
    ahead = [green.Stretch(n * 5 * minute, (n + 1) * 5 * minute, g) for n, g in enumerate(grams)]
    found = green.greenest(ahead, 50 * 60, 25 * 60)
    assert found.open_ns == ((0, 25 * minute), (45 * minute, 50 * minute))


@pytest.mark.parametrize(
    ("site", "asks", "message"),
    [
        (lambda _: Carbon(), {"below": 100}, "give carbon.series"),
        (lambda f: series(f).model_copy(update={"kg_per_kwh": 0.1}), {"below": 100}, "one factor"),
        (series, {"below": 50}, "never falls below it from now on; its least is 60 g/kWh"),
        (series, {"below": 100, "hour": 9}, "has no factor for now"),
        (series, {"below": 100, "hour": -1}, "has no factor for now"),
        (lambda f: series(f, (100,)), {"below": 200}, "has no factor for now"),
        (lambda f: series(f, gap_after=3), {"below": 200, "hour": 5}, "has no factor for now"),
        (series, {"within_h": 12}, "has no factor after"),
        (lambda f: series(f, gap_after=3), {"within_h": 8}, "has no factor after"),
        (series, {"within_h": 8, "takes_h": None}, "give --max-time"),
        (series, {"within_h": 2}, "nothing to choose"),
        (series, {"within_h": 2, "below": 100}, "not together"),
        (
            lambda _: Carbon(country="DEU", live="electricitymaps"),
            {"within_h": 2},
            "the current factor alone",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(
    site: Callable[[Path], Carbon], asks: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        asked(site(tmp_path), **asks)
    assert "\n" not in str(refused.value)


def test_a_live_service_is_asked_first_and_then_now_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Carbon(country="DEU", live="electricitymaps")
    monkeypatch.setattr(green, "ask", lambda _: {"error": "no key in the environment"})
    with pytest.raises(UsageError, match="does not answer: no key"):
        asked(site, below=100)
    monkeypatch.setattr(green, "ask", lambda _: {"kg_per_kwh": 0.3})
    answers = [{"kg_per_kwh": 0.08}, *[{"error": "away"}] * 20]
    kept: list[dict[str, Any]] = []

    def ask_now() -> dict[str, Any]:
        kept.append(answers[len(kept)])
        return kept[-1]

    times = asked(site, below=100, ask_now=ask_now)

    def after(minutes: float) -> bool | None:
        return times.state(START_NS + round(minutes * 60e9)).is_open

    assert [after(0), after(14)] == [False, False]
    assert not kept
    assert [after(15), after(29)] == [True, True]
    assert len(kept) == 1
    assert after(60), "the last answer holds while others fail"
    assert after(134)
    assert after(136) is False, "but for two hours only"
