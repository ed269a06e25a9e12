"""Computes the CO2e of runs: columns of the table, from a study's sites and a run's energy."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from harness.energy.carbon.factor import (
    CarbonFactor,
    Co2e,
    carbon_factor,
    further_sites,
    reference_places,
)
from harness.energy.carbon.series import CarbonSeries, Drawn, ask, by_hour, nanoseconds, read_series
from harness.errors import UsageError
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Attempt
from harness.results.run_energy import Ledger
from harness.settings.settings import Carbon
from harness.utils.atomic_write import write_atomically
from harness.utils.jsonl import LogWriter, read_log


def keep_series(folder: StudyFolder, site: Carbon) -> None:
    """Copy a study's series to its results, so that a report needs nothing from elsewhere.

    Raises:
        UsageError: The series cannot be read, or the copy not written.
    """
    if site.series is None:
        return
    try:
        write_atomically(folder.carbon_series, Path(site.series).read_bytes())
    except OSError as error:
        raise UsageError(f"carbon.series: {site.series}: {error.strerror}") from None


def ask_live(folder: StudyFolder, site: Carbon) -> str | None:
    """Record the grid's intensity of this moment, if the study uses it.

    Returns:
        Why there is none, in a sentence; None if all is well.
    """
    if not _counts_live(site) or site.country is None:
        return None
    record = ask_and_keep(folder, site.country)
    if "error" not in record:
        return None
    return f"no live carbon intensity ({record['error']}); CO2e is counted by the offline factor"


def ask_and_keep(folder: StudyFolder, country: str) -> dict[str, Any]:
    """Ask the live service about a country, and record its answer, which may be an error."""
    record = ask(country)
    log = LogWriter(folder.carbon_live)
    log.append(record, durable=True)
    log.close()
    return record


@dataclass(frozen=True)
class Waiting:
    """Waiting for green electricity.

    Attributes:
        waited_s: How long the run waited, before it began and at checkpoints.
        at_once_kg: CO2e of the same energy had nothing waited; NaN if that cannot be computed.
    """

    waited_s: float
    at_once_kg: float


class _Wait(NamedTuple):
    """A line of a run's waits: before one attempt, and all since the command with it."""

    waited_s: float
    behind_s: float


_NO_WAIT = _Wait(0.0, 0.0)


def keep_wait(run: RunFolder, attempt: int, waited_s: float, behind_s: float, rule: str) -> None:
    """Record how long an attempt waited for green electricity; 0 if it began at once.

    Args:
        run: The run.
        attempt: The attempt that begins now.
        waited_s: How long it waited.
        behind_s: How long it and what was run before it have waited since the command.
        rule: What was asked for.
    """
    log = LogWriter(run.waits)
    line = {"attempt": attempt, "waited_s": waited_s, "behind_s": behind_s, "rule": rule}
    log.append(line, durable=True)
    log.close()


def _waits(ledger: Ledger) -> dict[int, _Wait]:
    """By attempt, how long it waited; damaged lines, and lines of attempts never begun, left out.

    A line whose attempt never began is followed by another one for the same number; both waited.
    """
    begun = {each.number for each in ledger.journal.attempts}
    found: dict[int, _Wait] = {}
    for line in read_log(ledger.folder.waits):
        try:
            number, wait = line["attempt"], _Wait(*(float(line[key]) for key in _Wait._fields))
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        sound = 0 <= wait.waited_s <= wait.behind_s < _MAX_WAIT_S
        if type(number) is int and number in begun and sound:
            before = found.get(number, _NO_WAIT)
            found[number] = _Wait(before.waited_s + wait.waited_s, wait.behind_s)
    return found


_MAX_WAIT_S = 1e8
"""A bound against damage: three years."""


def _earlier(drawn: Drawn, by_s: float) -> Drawn:
    """The same energy drawn earlier."""
    by_ns = round(by_s * 1e9)
    return Drawn(
        drawn.start_ns - by_ns, drawn.end_ns - by_ns, lambda at_ns: drawn.energy_j(at_ns + by_ns)
    )


class StudyCarbon:
    """Computes the CO2e of a study's runs, where they ran and at further sites.

    Args:
        folder: The study's results.

    Raises:
        UsageError: CodeCarbon has no data for a site, or the series is damaged.
    """

    def __init__(self, folder: StudyFolder) -> None:
        site = Carbon(**folder.read_study()["carbon"])
        self._pue = site.pue
        self._constant = carbon_factor(site)
        self._changing = _changing(folder, site, self._constant)
        self._series = self._changing if site.series is not None else None
        self._further = further_sites(site)

    def here(self, ledger: Ledger) -> Co2e:
        """CO2e of a run where it ran; NaN if its energy or its time is unknown."""
        energy_j = _energy_j(ledger)
        if self._changing is None:
            return Co2e(self._constant.co2e_kg(energy_j), self._constant.basis)
        try:
            drawn = [_drawn(ledger, attempt) for attempt in ledger.journal.attempts]
        except (KeyError, TypeError, ValueError):
            return Co2e(math.nan, "unknown: the journal does not say when the run took place")
        found = self._changing.co2e(drawn)
        return found if math.isfinite(energy_j) else Co2e(math.nan, found.basis)

    def waiting(self, ledger: Ledger) -> Waiting | None:
        """What a run that waited for green electricity saved, and for how long it waited.

        Each attempt is counted again as if it had begun earlier, by as long as it and the work
        before it had waited since the command was given, with the same energy.

        Returns:
            None for a run that was not asked to wait.
        """
        waits = _waits(ledger)
        if not waits:
            return None
        kg = math.nan
        if self._changing is not None and ledger.sensors:
            with contextlib.suppress(KeyError, TypeError, ValueError):  # as in `here`
                kg = self._changing.co2e(
                    _earlier(_drawn(ledger, each), waits.get(each.number, _NO_WAIT).behind_s)
                    for each in ledger.journal.attempts
                ).kg
        return Waiting(math.fsum(each.waited_s for each in waits.values()), kg)

    def elsewhere(self, ledger: Ledger) -> dict[str, Any]:
        """Two columns per further site: CO2e of the same energy there, and its basis."""
        row: dict[str, Any] = {}
        for name, factor in self._further.items():
            row[f"co2e_kg_{name}"] = factor.co2e_kg(_energy_j(ledger))
            row[f"carbon_basis_{name}"] = factor.basis
        return row

    def places(self) -> list[dict[str, Any]]:
        """Factors here, at the study's further sites and at well-known places, one row each."""
        listed = [("here", "here", self._constant)]
        listed += [(name, "also", factor) for name, factor in self._further.items()]
        listed += [
            (name, "reference", factor) for name, factor in reference_places(self._pue).items()
        ]
        return [
            {"place": name, "kg_per_kwh": factor.kg_per_kwh, "basis": factor.basis, "role": role}
            for name, role, factor in listed
        ]

    def hours(self, duration_s: float) -> list[dict[str, Any]]:
        """The factor around a run of some length by the hour it begins; empty without a series."""
        return by_hour(self._series, duration_s) if self._series is not None else []


def _changing(folder: StudyFolder, site: Carbon, offline: CarbonFactor) -> CarbonSeries | None:
    """The factors over time, if the study uses any."""
    if _counts_live(site):
        return _live_series(read_log(folder.carbon_live), site, offline)
    if site.kg_per_kwh is None and site.series is not None:
        return read_series(folder.carbon_series, f"series {Path(site.series).name}", site.pue)
    return None


def _counts_live(site: Carbon) -> bool:
    return site.live is not None and site.kg_per_kwh is None and site.series is None


def _live_series(records: list[Any], site: Carbon, offline: CarbonFactor) -> CarbonSeries:
    """The recorded answers, each valid from its time on; the offline factor where there is none."""
    found = {0: replace(offline, basis=f"{offline.basis} (no live intensity on record)")}
    for record in records:
        if isinstance(record, dict) and record.get("country") == site.country:
            with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged line
                start_ns = nanoseconds(datetime.fromisoformat(record["time"]))
                found[start_ns] = _live_factor(record, site, offline)
    return CarbonSeries(tuple(sorted(found)), tuple(found[start] for start in sorted(found)))


def _live_factor(record: dict[str, Any], site: Carbon, offline: CarbonFactor) -> CarbonFactor:
    if "error" in record:
        return replace(offline, basis=f"{offline.basis} (no live intensity: {record['error']})")
    kg_per_kwh = float(record["kg_per_kwh"])
    basis = (
        f"{site.country} at {record['time']}, live from Electricity Maps, "
        f"life cycle (its default), {kg_per_kwh * 1000:.0f} g/kWh, PUE {site.pue:g}"
    )
    return CarbonFactor(kg_per_kwh * site.pue, basis)


def _energy_j(ledger: Ledger) -> float:
    # Without a sensor the energy is unknown, which is not 0.
    return ledger.outer.energy_j if ledger.sensors else math.nan


def _drawn(ledger: Ledger, attempt: Attempt) -> Drawn:
    """The energy of an attempt over wall-clock time, which its first event has to the second."""
    began_ns = nanoseconds(datetime.fromisoformat(attempt.events[0]["wall"]))
    offset_ns = began_ns - attempt.start_ns
    return Drawn(
        start_ns=began_ns,
        end_ns=ledger.end_ns(attempt) + offset_ns,
        energy_j=lambda wall_ns: ledger.spent_until(attempt, wall_ns - offset_ns),
    )
