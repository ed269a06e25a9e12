"""Places and what their carbon factors rest on, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pycountry

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAID_ELSEWHERE = re.compile(r", [\d.]+ g/kWh\b|, PUE [\d.]+$")
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
    """A basis' place with its year, and of what kind its factor is and who says so."""
    text = _SAID_ELSEWHERE.sub("", _SAID_ELSEWHERE.sub("", basis))
    found = _UP_TO_THE_YEAR.match(text)
    subject = found.group() if found else text.partition(", ")[0]
    return subject, text[len(subject) :].lstrip(", ")
