"""What the same energy would emit elsewhere: a factor per place, which holds for every method."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pycountry

from harness.results.column import Column, Schema
from reports.statistics.energy_kind import standing_of
from reports.statistics.statistics import t_interval
from reports.tables.table import ENERGY_KIND, Table, View, decimals
from reports.text import captions
from reports.text.units import Unit, mass_unit, relative

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from reports.data import StudyResults


_JOULES_PER_KWH = 3.6e6
_GRAMS_PER_KWH = Unit("g/kWh", 1e-3)
SCHEMA = Schema(
    "co2_places",
    "CO2e elsewhere",
    "a place",
    (
        Column("place", "text", "A country, a region or a cloud region; `here` for the study's."),
        Column("name", "text", "What it is called."),
        Column("kg_per_kwh", "number", "CO2e of a kilowatt-hour in kg, PUE included."),
        Column("ratio_to_here", "number", "That over the factor of the study's own place."),
        Column("co2e_kg", "number", "CO2e of one run of the first method: mean energy.", "kg"),
        Column("arm", "text", "That method: the baseline, if a run of it has finished."),
        ENERGY_KIND,
        Column("basis", "text", "What the factor rests on."),
    ),
)


def places(results: StudyResults) -> Table | None:
    """One row per place, by rising factor; None without places or without a known energy."""
    listed = _listed(results)
    arm = next(iter(results.finished_arms), None)
    if listed.empty or arm is None:
        return None
    energy_j = t_interval(results.by_seed(arm, "energy_j").values()).mean
    if not energy_j > 0:
        return None
    here = listed.loc[listed["role"] == "here", "kg_per_kwh"]
    standing = standing_of(results.finished)
    kind = "" if standing.measured else f" ({standing.adjective} energy)"
    records = [
        {
            "place": place["place"],
            "name": place["name"] + (" *" if is_direct_only(place["basis"]) else ""),
            "kg_per_kwh": place["kg_per_kwh"],
            "ratio_to_here": place["kg_per_kwh"] / here.iloc[0] if len(here) else math.nan,
            "co2e_kg": place["kg_per_kwh"] * energy_j / _JOULES_PER_KWH,
            "arm": arm,
            "energy_kind": standing.adjective,
            "basis": bases([(place["role"], place["basis"])]),
        }
        for place in listed.to_dict("records")
    ]
    return Table(
        schema=SCHEMA,
        records=records,
        view={
            "name": View("Place"),
            "kg_per_kwh": View("Factor", _GRAMS_PER_KWH, decimals(0)),
            "ratio_to_here": View("Relative to here", show=relative),
            "co2e_kg": View(
                f"CO2e of one run of {arm}{kind}", mass_unit(each["co2e_kg"] for each in records)
            ),
            "basis": View("What the factor rests on"),
        },
        legend=_legend(results, listed),
    )


def _listed(results: StudyResults) -> pd.DataFrame:
    """The places by rising factor, each once, with what to call them."""
    rank = {"here": 0, "also": 1}
    columns = (results.places[name] for name in ("place", "role", "basis"))
    listed = results.places.assign(
        rank=results.places["role"].map(rank).fillna(2),
        name=[place_name(*map(str, place)) for place in zip(*columns, strict=True)],
    )
    listed = listed[listed["kg_per_kwh"] > 0]
    listed = listed.sort_values("rank", kind="stable").drop_duplicates("basis")
    return listed.sort_values(["kg_per_kwh", "rank"], kind="stable").reset_index(drop=True)


def _legend(results: StudyResults, listed: pd.DataFrame) -> str:
    text = (
        "Computed from the same energy, not measured there, PUE included. The ratio to here holds "
        "for every method: its CO2e elsewhere is its CO2e here times that."
    )
    parts = [text]
    if {is_direct_only(basis) for basis in listed["basis"]} == {True, False}:
        parts.append("* Direct emissions alone, hence not comparable with the others.")
    here = listed.loc[listed["role"] == "here", "basis"].tolist()
    used = captions.words(results.finished["carbon_basis"])
    if here and used != here:
        parts.append(f"The other tables count the runs by another basis: {'; '.join(used)}.")
    return " ".join(parts)


_SHOWN_ELSEWHERE = re.compile(r", [\d.]+ g/kWh\b|, PUE [\d.]+$")
"""Parts of a basis that are numbers of their own."""
_UP_TO_THE_YEAR = re.compile(r".*?(?:\b\d{4}\)?|year not stated)(?=,|$)")


def place_name(place: str, role: str, basis: str) -> str:
    """What to call a place: such as "Sweden", "California, United States" or "here: France 2023".

    Args:
        place: A country's code (ISO 3166-1 alpha-3), with a region or not, or a cloud region.
        role: "here" for the study's own place, which is called by its basis.
        basis: What its factor rests on.
    """
    if role == "here":
        return f"here: {_split(basis)[0]}"
    code, slash, region = place.partition("/")
    country = pycountry.countries.get(alpha_3=code)
    if country is None:
        return place
    name = str(getattr(country, "common_name", country.name))
    if not slash:
        return name
    # Bidding zones, such as "se1", are abbreviations.
    has_digit = any(letter.isdigit() for letter in region)
    return f"{region.upper() if has_digit else region.title()}, {name}"


def is_direct_only(basis: str) -> bool:
    """Whether a factor leaves out what happens before and after a power plant runs."""
    return "direct emissions" in basis and "life cycle" not in basis


def bases(places: Iterable[tuple[str, str]]) -> str:
    """What factors rest on, with their years, those of one kind together; of roles and bases."""
    kinds: dict[str, list[str]] = {}
    for role, basis in places:
        subject, kind = _split(basis)
        called = f"here: {subject}" if role == "here" else subject
        kinds.setdefault(kind, []).append(called)
    return ". ".join(
        f"{', '.join(dict.fromkeys(subjects))}{f' ({kind})' if kind else ''}"
        for kind, subjects in kinds.items()
    )


def _split(basis: str) -> tuple[str, str]:
    """A basis' place with its year, and the kind and source of its factor."""
    text = _SHOWN_ELSEWHERE.sub("", _SHOWN_ELSEWHERE.sub("", basis))
    found = _UP_TO_THE_YEAR.match(text)
    subject = found.group() if found else text.partition(", ")[0]
    return subject, text[len(subject) :].lstrip(", ")
