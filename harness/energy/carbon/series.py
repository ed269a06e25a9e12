"""Computes CO2e where the factor changes over time.

The factors come from a CSV file (`read_series`), or from a live service that is asked once when a
study starts (`ask`) and whose failure costs nothing. `by_hour` gives the factor of a run by the
hour at which it begins.
"""

from __future__ import annotations

import csv
import math
import os
import queue
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from operator import sub
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from harness.energy.carbon.factor import CarbonFactor, Co2e, check_place, further_sites
from harness.energy.carbon.quiet import import_codecarbon
from harness.errors import UsageError, nearest
from harness.settings.settings import Carbon

SCALES = {"kg_per_kwh": 1.0, "g_per_kwh": 1e-3}
"""Columns that may hold the factor, and their scale in kilograms."""
MAX_KG_PER_KWH = 10.0
"""A bound against wrong units: no grid comes near it, and grams in the wrong column exceed it."""
PLAUSIBLE_KG_PER_KWH = (0.001, 2.0)
"""Range of the mean of any grid; CodeCarbon's countries have 0.02 to 1.3."""
GAP = 1.5
"""A step longer than this multiple of the usual one has missing factors."""


_OUTSIDE, _IN_A_GAP = "outside its time", "in its gaps"
_COUNTED_AT = {_OUTSIDE: "its nearest end", _IN_A_GAP: "the factor before"}


@dataclass(frozen=True)
class Drawn:
    """The energy of one process over time.

    Attributes:
        start_ns: When it began, on the wall clock (nanoseconds since 1970, UTC).
        end_ns: When it ended.
        energy_j: Joules drawn until a moment; only differences count.
    """

    start_ns: int
    end_ns: int
    energy_j: Callable[[int], float]


@dataclass(frozen=True)
class CarbonSeries:
    """Factors over time: each holds until the next one begins.

    Attributes:
        starts_ns: When each factor begins to hold (nanoseconds since 1970, UTC), rising.
        factors: As many factors.
        end_ns: Until when the last one is known to hold; outside, the nearest factor counts.
        step_ns: How long a factor is known to hold: after that, up to the next one, is a gap.
    """

    starts_ns: tuple[int, ...]
    factors: tuple[CarbonFactor, ...]
    end_ns: float = math.inf
    step_ns: float = math.inf

    @property
    def gaps_ns(self) -> list[tuple[int, int]]:
        """From when to when no factor is known to hold, within the series."""
        return [
            (int(before + self.step_ns), after)
            for before, after in pairwise(self.starts_ns)
            if after - before > GAP * self.step_ns
        ]

    def co2e(self, drawn: Iterable[Drawn]) -> Co2e:
        """CO2e of some energy; the basis names the factors used, and the share outside the series.

        Returns:
            The sum, over every piece of time under one factor, of its energy x that factor.
        """
        pieces = [piece for each in drawn for piece in self._pieces(each)]
        used = [factor for factor, _, _ in pieces] or self.factors
        all_j = math.fsum(energy_j for _, energy_j, _ in pieces)
        note = ""
        for place, how in _COUNTED_AT.items():
            there_j = math.fsum(energy_j for _, energy_j, where in pieces if where == place)
            if there_j > 0:
                share = there_j / all_j
                note += f"; {share:.1%} of the energy was drawn {place}, counted at {how}"
        return Co2e(
            kg=math.fsum(factor.co2e_kg(energy_j) for factor, energy_j, _ in pieces),
            basis="; ".join(dict.fromkeys(factor.basis for factor in used)) + note,
        )

    def _pieces(self, drawn: Drawn) -> Iterator[tuple[CarbonFactor, float, str]]:
        """Factor, energy, place if outside the series, of every piece of time at one factor."""
        gaps_ns = self.gaps_ns
        known_ns = (*self.starts_ns, self.end_ns, *(start for start, _ in gaps_ns))
        inside = [t for t in known_ns if drawn.start_ns < t < drawn.end_ns]
        moments = sorted({drawn.start_ns, drawn.end_ns, *map(int, inside)})
        for start_ns, end_ns in pairwise(moments):
            number = max(bisect_right(self.starts_ns, start_ns) - 1, 0)
            energy_j = drawn.energy_j(end_ns) - drawn.energy_j(start_ns)
            where = ""
            if not self.starts_ns[0] <= start_ns < self.end_ns:
                where = _OUTSIDE
            elif any(from_ns <= start_ns < to_ns for from_ns, to_ns in gaps_ns):
                where = _IN_A_GAP
            yield self.factors[number], energy_j, where


def read_series(path: Path, name: str, pue: float) -> CarbonSeries:
    """The factors in a CSV file: columns `time` (ISO 8601 with zone), `kg_per_kwh` or `g_per_kwh`.

    The last row ends the series: what is drawn after it counts as outside.

    Args:
        path: The file.
        name: What to call it, in the basis and in messages.
        pue: Multiplied into every factor.

    Raises:
        UsageError: It cannot be read, or a row is wrong; the message names the line.
    """
    try:
        rows = csv.DictReader(path.read_text("utf-8-sig").splitlines())
        column = _column(rows.fieldnames or (), name)
        found = [_row(row, column, f"{name}, line {rows.line_num}") for row in rows]
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{name}: not CSV: {error}") from None
    if not found:
        raise UsageError(f"{name}: no rows")
    for (before, _), (time, _) in pairwise(found):
        if time <= before:
            raise UsageError(f"{name}: {time.isoformat()} does not come after {before.isoformat()}")
    first, last = found[0][0].isoformat(), found[-1][0].isoformat()
    starts_ns = tuple(nanoseconds(time) for time, _ in found)
    step_ns = median(map(sub, starts_ns[1:], starts_ns)) if len(found) > 1 else math.inf
    basis = f"{name}, {first} to {last}, PUE {pue:g}" + _doubts(found, column)
    factors = tuple(CarbonFactor(kg_per_kwh * pue, basis) for _, kg_per_kwh in found)
    return CarbonSeries(starts_ns, factors, starts_ns[-1], step_ns)


def _doubts(found: list[tuple[datetime, float]], column: str) -> str:
    """Why a series as a whole looks wrong, to be printed beside every figure made with it."""
    mean_kg = math.fsum(kg for _, kg in found) / len(found)
    least_kg, most_kg = PLAUSIBLE_KG_PER_KWH
    if least_kg <= mean_kg <= most_kg:
        return ""
    if mean_kg == 0:
        return "; all of its factors are 0: is the column filled in?"
    return (
        f"; its mean of {mean_kg / SCALES[column]:g} {column} is no grid's: is the column's unit "
        "right?"
    )


def check_site(site: Carbon) -> None:
    """Check, before anything is trained, that the CO2e of a study can be computed after it.

    Raises:
        UsageError: A place is unknown, so that CodeCarbon would silently take another, or the
            series is wrong.
    """
    check_place(site)
    further_sites(site)
    if site.series is not None:
        read_series(Path(site.series), f"carbon.series: {site.series}", site.pue)


def nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970, UTC, of a time with zone."""
    return round(time.timestamp() * 1_000_000) * 1000


def _column(fields: Iterable[str], name: str) -> str:
    """Which of the two columns of factors the file has."""
    known = set(fields)
    found = known & set(SCALES)
    if "time" not in known:
        raise UsageError(f"{name}: no column 'time'; {nearest('time', known)}")
    if len(found) != 1:
        how = "both columns" if found else "no column"
        raise UsageError(f"{name}: {how} of kg_per_kwh and g_per_kwh; it must have one")
    return found.pop()


def _row(row: dict[str, str | None], column: str, place: str) -> tuple[datetime, float]:
    text, number = row["time"], row[column]
    try:
        time = datetime.fromisoformat((text or "").strip())
        kg_per_kwh = float(number or "") * SCALES[column]
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    if time.tzinfo is None:
        raise UsageError(f"{place}: time {text} has no zone; write it as {text}Z if it is UTC")
    if not 0 <= kg_per_kwh <= MAX_KG_PER_KWH:
        raise UsageError(f"{place}: {column} {number} is not between 0 and 10 kg/kWh")
    return time, kg_per_kwh


HOUR_NS = 3_600_000_000_000


def by_hour(series: CarbonSeries, duration_s: float) -> list[dict[str, Any]]:
    """For each hour of the day (UTC), the mean factor over runs that begin then.

    A run begins at every full hour from which it ends within the series. Its factor is the mean
    over its time, as if it drew the same power throughout.

    Args:
        series: The factors over time.
        duration_s: How long a run takes.

    Returns:
        A row per hour: `hour`, `kg_per_kwh` (mean over days), `kg_per_kwh_low`, `kg_per_kwh_high`
        (lowest and highest day). Hours at which no run fits into the series are left out.
    """
    if not (math.isfinite(duration_s) and duration_s > 0):
        return []
    duration_ns = round(duration_s * 1e9)
    first_ns = series.starts_ns[0]
    # A factor without an end says nothing of the days to come.
    end_ns = int(series.end_ns) if math.isfinite(series.end_ns) else series.starts_ns[-1]
    first_hour = -(-first_ns // HOUR_NS)
    last_hour = (end_ns - duration_ns) // HOUR_NS
    if last_hour < first_hour:
        return []
    hours = np.arange(first_hour, last_hour + 1)
    # Seconds since the first factor: nanoseconds since 1970 are too large for a float.
    starts_s = (np.array([*series.starts_ns, end_ns]) - first_ns) * 1e-9
    factors = np.array([factor.kg_per_kwh for factor in series.factors])
    so_far = np.concatenate([[0.0], np.cumsum(factors * np.diff(starts_s))])
    begin_s = (hours * HOUR_NS - first_ns) * 1e-9
    ends = np.interp(begin_s + duration_ns * 1e-9, starts_s, so_far)
    means = (ends - np.interp(begin_s, starts_s, so_far)) / (duration_ns * 1e-9)
    rows = []
    for hour in range(24):
        days = means[hours % 24 == hour]
        if len(days):
            rows.append(
                {
                    "hour": hour,
                    "kg_per_kwh": float(days.mean()),
                    "kg_per_kwh_low": float(days.min()),
                    "kg_per_kwh_high": float(days.max()),
                }
            )
    return rows


KEY = "CODECARBON_ELECTRICITYMAPS_API_TOKEN"
"""Environment variable with the key, the one that CodeCarbon reads."""
TIMEOUT_S = 10.0
"""Time for an answer. CodeCarbon's client does not limit how long a name may take to resolve."""


def ask(country: str) -> dict[str, Any]:
    """Ask Electricity Maps for a country's carbon intensity, by CodeCarbon's client; never raises.

    Returns:
        The record to keep: `time` (UTC, to the second, before asking), `provider`, `country`, and
        either `kg_per_kwh` or `error`. The key is in none of them.
    """
    # To the second, as the first event of a run: one that begins at once must not come before it.
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, Any] = {"time": now, "provider": "electricitymaps", "country": country}
    key = os.environ.get(KEY, "").strip()
    if not key:
        return record | {"error": f"no key in the environment variable {KEY}"}
    if not (key.isascii() and key.isprintable()):
        return record | {"error": f"the key in {KEY} holds a character that no key has"}
    answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_asked(country, key)), daemon=True).start()
    try:
        return record | answers.get(timeout=TIMEOUT_S)
    except queue.Empty:
        return record | {"error": f"no answer within {TIMEOUT_S:g} s"}


def _asked(country: str, key: str) -> dict[str, Any]:
    try:
        import pycountry

        import_codecarbon()
        from codecarbon.core.electricitymaps_api import get_carbon_intensity
        from codecarbon.external.geography import GeoMetadata

        found = pycountry.countries.get(alpha_3=country)
        if found is None:
            return {"error": f"no two-letter code for {country}"}
        place = GeoMetadata(country_iso_code=country, country_2letter_iso_code=found.alpha_2)
        g_per_kwh = get_carbon_intensity(place, key)
        if isinstance(g_per_kwh, int | float) and 0 <= g_per_kwh <= MAX_KG_PER_KWH * 1000:
            return {"kg_per_kwh": g_per_kwh / 1000}
        reason = f"an answer that is no carbon intensity: {g_per_kwh!r}"
    except Exception as error:  # noqa: BLE001 - whatever comes over a network must not end the runs
        reason = f"{type(error).__name__}: {error}"
    return {"error": " ".join(reason.replace(key, "***").split())[:200]}
