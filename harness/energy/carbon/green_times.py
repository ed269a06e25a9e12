"""When electricity is green enough to run: below a threshold, or in the greenest part of a window.

Work that can pause waits for such times (Wiesner et al., "Let's Wait Awhile", Middleware 2021;
Dodge et al., FAccT 2022, call the two ways "flexible start" and "pause and resume"). Factors here
are the grid's, without the PUE of a building, which changes no order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from harness.energy.carbon.series import GAP, CarbonSeries, ask, read_series
from harness.errors import UsageError
from harness.settings.settings import Carbon

MIN_PAUSE_NS = 900_000_000_000
"""A pause shorter than a quarter of an hour is not worth loading data and network again (our
judgement)."""
ASK_PERIOD_NS = 900_000_000_000
"""Time between two questions to a live service, whose figures change once an hour or less often."""
KNOWN_FOR_NS = 7_200_000_000_000
"""How long an answer of a live service holds when no other comes."""


class State(NamedTuple):
    """Whether to run at a moment.

    Attributes:
        is_open: Whether it is time to run; None if that is not known any more.
        text: Why not, for people.
    """

    is_open: bool | None
    text: str = ""


class GreenTimes(Protocol):
    """When to run."""

    @property
    def rule(self) -> str:
        """What was asked for, for people."""
        ...

    def state(self, now_ns: int) -> State:
        """Whether to run now (nanoseconds since 1970, UTC)."""
        ...


class Stretch(NamedTuple):
    """A time of one factor, from a moment until another (nanoseconds since 1970, UTC)."""

    start_ns: int
    end_ns: int
    kg_per_kwh: float

    @property
    def length_ns(self) -> int:
        """How long it is."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class Foreseen:
    """Times that are known beforehand, from a series.

    Attributes:
        rule: What was asked for.
        open_ns: From when to when to run, in order.
        end_ns: Until when this was decided.
        afterwards: Whether to run after that; None if it is not known.
    """

    rule: str
    open_ns: tuple[tuple[int, int], ...]
    end_ns: int
    afterwards: bool | None

    def state(self, now_ns: int) -> State:
        """Whether to run now."""
        if now_ns >= self.end_ns:
            text = f"{self.rule}: the series ends at {clock_time(self.end_ns)}"
            return State(self.afterwards, text)
        opens_ns = self.opens_ns(now_ns)
        return State(opens_ns <= now_ns, f"{self.rule}: waiting until {clock_time(opens_ns)}")

    def opens_ns(self, now_ns: int) -> int:
        """The first moment from now on at which to run; the end, if there is none before it."""
        starts_ns = (max(start, now_ns) for start, end in self.open_ns if end > now_ns)
        return next(starts_ns, self.end_ns)


class AskedLive:
    """A threshold held against the answers of a live service; any thread may call it.

    An answer holds for two hours if no other comes; without one, nothing runs.

    Args:
        kg_per_kwh: The threshold.
        first_kg_per_kwh: The first answer.
        first_ns: When it came.
        ask_now: Asks the service: a record with `kg_per_kwh` or `error`.
    """

    def __init__(
        self,
        kg_per_kwh: float,
        first_kg_per_kwh: float,
        first_ns: int,
        ask_now: Callable[[], dict[str, Any]],
    ) -> None:
        self.rule = f"below {kg_per_kwh * 1000:g} g/kWh"
        self._limit = kg_per_kwh
        self._ask = ask_now
        self._asked_ns = first_ns
        self._known = (first_ns, first_kg_per_kwh)
        self._lock = threading.Lock()

    def state(self, now_ns: int) -> State:
        """Whether to run now; asks the service if it was asked long ago."""
        with self._lock:
            if now_ns - self._asked_ns >= ASK_PERIOD_NS:
                self._asked_ns = now_ns
                record = self._ask()
                if "error" not in record:
                    self._known = (now_ns, float(record["kg_per_kwh"]))
            since_ns, kg_per_kwh = self._known
        if now_ns - since_ns > KNOWN_FOR_NS:
            return State(False, f"{self.rule}: waiting for an answer of the live service")
        now = f"{kg_per_kwh * 1000:.0f} g/kWh now"
        return State(kg_per_kwh < self._limit, f"{self.rule}: waiting, {now}")


def green_times(
    site: Carbon,
    now_ns: int,
    *,
    below_g_per_kwh: float | None,
    within_s: float | None,
    takes_s: Callable[[], float | None],
    ask_now: Callable[[], dict[str, Any]],
) -> GreenTimes | None:
    """When to run, as the command line asks; None if it does not.

    Args:
        site: The study's electricity.
        now_ns: The moment of the command, nanoseconds since 1970, UTC.
        below_g_per_kwh: Run while the grid is below this.
        within_s: Run in the greenest part of this window.
        takes_s: How long all missing runs take; None if that is not known.
        ask_now: Asks the live service, and keeps its answer, later on.

    Raises:
        UsageError: Both are asked for, or the electricity of the study cannot answer.
    """
    if below_g_per_kwh is None and within_s is None:
        return None
    if below_g_per_kwh is not None and within_s is not None:
        raise UsageError("--when-below: not together with --greenest-within")
    option = "--when-below" if within_s is None else "--greenest-within"
    if site.kg_per_kwh is not None or (site.series is None and site.live is None):
        what = "carbon.kg_per_kwh is one factor" if site.kg_per_kwh is not None else "one factor"
        raise UsageError(
            f"{option}: the study counts with {what} for all times; give carbon.series (a CSV file "
            "of the factor over time) or carbon.live"
        )
    if site.series is None:
        return _live(site, now_ns, below_g_per_kwh, ask_now)
    name = f"carbon.series: {site.series}"
    stretches = _stretches(read_series(Path(site.series), name, pue=1.0))
    if not any(each.start_ns <= now_ns < each.end_ns for each in stretches):
        first, last = (stretches[0].start_ns, stretches[-1].end_ns) if stretches else (0, 0)
        known = f"it has {clock_time(first)} to {clock_time(last)}" if stretches else "one row"
        raise UsageError(f"{option}: {name} has no factor for now, {clock_time(now_ns)}; {known}")
    ahead = _ahead(stretches, now_ns, stretches[-1].end_ns)
    if within_s is None:
        return below(ahead, (below_g_per_kwh or 0.0) / 1000)
    return greenest(ahead, within_s, takes_s())


def below(ahead: list[Stretch], kg_per_kwh: float) -> Foreseen:
    """The times at which the factor is below a threshold.

    Args:
        ahead: The factors from now on.
        kg_per_kwh: The threshold.

    Raises:
        UsageError: The factor is never below it.
    """
    rule = f"below {kg_per_kwh * 1000:g} g/kWh"
    found = [each for each in ahead if each.kg_per_kwh < kg_per_kwh]
    if not found:
        least = min(ahead, key=lambda each: each.kg_per_kwh)
        raise UsageError(
            f"--when-below {kg_per_kwh * 1000:g}: carbon.series never falls below it from now on; "
            f"its least is {least.kg_per_kwh * 1000:g} g/kWh at {clock_time(least.start_ns)}"
        )
    return Foreseen(rule, _joined(found, 0), ahead[-1].end_ns, None)


def greenest(
    ahead: list[Stretch],
    within_s: float,
    takes_s: float | None,
    *,
    min_pause_ns: int = MIN_PAUSE_NS,
) -> Foreseen:
    """The greenest times of a window that begins now, as long together as the work takes.

    After the window it is always time to run, so that work that takes longer is finished.

    Args:
        ahead: The factors from now on.
        within_s: Length of the window.
        takes_s: How long the work takes; None if that is not known.
        min_pause_ns: Pauses shorter than this are left out.

    Raises:
        UsageError: The series does not cover the window, or there is nothing to choose.
    """
    now_ns = ahead[0].start_ns
    end_ns = now_ns + round(within_s * 1e9)
    window = _ahead(ahead, now_ns, end_ns)
    missing = next((a.end_ns for a, b in pairwise(window) if a.end_ns < b.start_ns), None)
    missing = window[-1].end_ns if missing is None and window[-1].end_ns < end_ns else missing
    if missing is not None:
        raise UsageError(
            f"--greenest-within: carbon.series has no factor after {clock_time(missing)}, and the "
            f"window ends at {clock_time(end_ns)}"
        )
    if takes_s is None:
        raise UsageError(
            "--greenest-within: how long the study takes is known once a run of every method has "
            "finished; until then give --max-time, such as --max-time 3h"
        )
    if takes_s >= within_s:
        raise UsageError(
            f"--greenest-within: the work takes about {takes_s / 3600:.3g} h, as long as the "
            f"window of {within_s / 3600:.3g} h, so that there is nothing to choose"
        )
    chosen, open_ns = [], 0
    for each in sorted(window, key=lambda each: (each.kg_per_kwh, each.start_ns)):
        if open_ns >= takes_s * 1e9:
            break
        chosen.append(each)
        open_ns += each.length_ns
    rule = f"greenest within {within_s / 3600:g} h"
    return Foreseen(rule, _joined(sorted(chosen), min_pause_ns), end_ns, True)


def _live(
    site: Carbon,
    now_ns: int,
    below_g_per_kwh: float | None,
    ask_now: Callable[[], dict[str, Any]],
) -> AskedLive:
    if below_g_per_kwh is None:
        raise UsageError(
            "--greenest-within: carbon.live has the current factor alone; give carbon.series with "
            "a forecast, or take --when-below"
        )
    first = ask(site.country or "")
    if "error" in first:
        raise UsageError(f"--when-below: carbon.live does not answer: {first['error']}")
    return AskedLive(below_g_per_kwh / 1000, float(first["kg_per_kwh"]), now_ns, ask_now)


def _stretches(series: CarbonSeries) -> list[Stretch]:
    """The factors with the time that each is known for: the last row ends the series."""
    held_ns = series.step_ns * GAP
    return [
        Stretch(
            start_ns,
            next_ns if next_ns - start_ns <= held_ns else start_ns + int(series.step_ns),
            factor.kg_per_kwh,
        )
        for (start_ns, next_ns), factor in zip(
            pairwise(series.starts_ns), series.factors, strict=False
        )
    ]


def _ahead(stretches: list[Stretch], from_ns: int, until_ns: int) -> list[Stretch]:
    """The parts of stretches within a window."""
    return [
        Stretch(max(each.start_ns, from_ns), min(each.end_ns, until_ns), each.kg_per_kwh)
        for each in stretches
        if each.end_ns > from_ns and each.start_ns < until_ns
    ]


def _joined(stretches: list[Stretch], min_pause_ns: int) -> tuple[tuple[int, int], ...]:
    """From when to when, where stretches that follow each other, or nearly so, are one."""
    found: list[tuple[int, int]] = []
    for each in stretches:
        if found and each.start_ns - found[-1][1] <= min_pause_ns:
            found[-1] = (found[-1][0], each.end_ns)
        else:
            found.append((each.start_ns, each.end_ns))
    return tuple(found)


def clock_time(time_ns: int) -> str:
    """A moment on this machine's clock, to the minute."""
    return f"{datetime.fromtimestamp(time_ns * 1e-9).astimezone():%Y-%m-%d %H:%M %Z}"
