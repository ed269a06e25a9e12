"""Converts joules to kilograms of CO2 equivalent, by the factor of a place.

The factors are CodeCarbon's offline data. For a place that it does not know it silently takes
another's number, so every name is looked up in its data first, and its functions are called only
for what is there. `reference_places` are well-known countries to compare a study's CO2e with.
"""

from __future__ import annotations

import csv
import difflib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.energy.carbon.quiet import codecarbon_data, import_codecarbon
from harness.errors import UsageError, nearest
from harness.settings.settings import Carbon

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Co2e:
    """CO2e of some energy.

    Attributes:
        kg: Kilograms.
        basis: How it was calculated, in words.
    """

    kg: float
    basis: str


@dataclass(frozen=True)
class CarbonFactor:
    """Kilograms of CO2e per kilowatt-hour at the computer's meter.

    Attributes:
        kg_per_kwh: The factor, PUE included.
        basis: Where it comes from, with place, year and PUE, in words.
    """

    kg_per_kwh: float
    basis: str

    def co2e_kg(self, energy_j: float) -> float:
        """CO2e of an energy."""
        return energy_j / JOULES_PER_KWH * self.kg_per_kwh


def carbon_factor(site: Carbon) -> CarbonFactor:
    """The factor of a site, constant over time: given by hand, else its grid's.

    Country figures are life-cycle averages of a year, those of most regions and of cloud regions
    direct emissions only: the basis says which, since the two are not comparable.

    Raises:
        UsageError: CodeCarbon has no data for the place.
    """
    if site.kg_per_kwh is not None:
        kg_per_kwh, basis = site.kg_per_kwh, "factor given by the study"
    else:
        kg_per_kwh, basis = grid_factor(site)
    return CarbonFactor(
        kg_per_kwh * site.pue, f"{basis}, {kg_per_kwh * 1000:.0f} g/kWh, PUE {site.pue:g}"
    )


def further_sites(site: Carbon) -> dict[str, CarbonFactor]:
    """The factors of the further places that a study names, with its own PUE.

    Raises:
        UsageError: CodeCarbon has no data for a name.
    """
    return {name: carbon_factor(_place(name, site.pue)) for name in site.also}


def _place(name: str, pue: float) -> Carbon:
    """The place that a name means: "FRA", "USA/california" or "gcp/europe-west1"."""
    country, slash, region = name.partition("/")
    if slash and not is_country(country):
        place = Carbon(cloud=name, pue=pue)
    else:
        place = Carbon(country=country, region=region if slash else None, pue=pue)
    check_place(place, "carbon.also")
    return place


COUNTRIES = ("SWE", "FRA", "BRA", "GBR", "USA", "DEU", "JPN", "AUS", "CHN", "POL", "ZAF", "IND")
"""From the least to the most carbon (2023); all are life-cycle averages of a year, so that they can
be compared."""


def reference_places(pue: float) -> dict[str, CarbonFactor]:
    """The factor of each, by the code of its country."""
    return {code: carbon_factor(Carbon(country=code, pue=pue)) for code in COUNTRIES}


ZONES = {"SWE": "SE", "NOR": "NO", "FIN": "FI"}
"""Countries with figures by bidding zone, and the prefix of their zones' names."""
REGIONAL = ("CAN", "CHN", "USA", *ZONES)
MISSPELT = {"gcp/me-central1": "gcp/me-cenrtal1"}
"""Cloud regions that CodeCarbon's file spells in its own way."""


def grid_factor(site: Carbon) -> tuple[float, str]:
    """Kilograms of CO2e per kilowatt-hour at a place, and its basis in words.

    Raises:
        UsageError: CodeCarbon has no data for the place.
    """
    check_place(site)
    if site.cloud is not None:
        return _of_cloud(MISSPELT.get(site.cloud, site.cloud))
    if site.country is None:
        world = _data("carbon_intensity_per_source.json")["world_average"]
        return float(world) / 1000, "world average (IEA 2019), direct emissions"
    mix = _countries()[site.country]
    name, grams = mix["country_name"], mix.get("carbon_intensity")
    basis = f"{name} {mix.get('year', 'year not stated')}, life cycle, CodeCarbon"
    basis += " (Our World in Data)"
    if site.region is None and grams is not None:
        # As CodeCarbon does, but without importing it: a report asks for a dozen countries.
        return grams * 1e-3, basis
    import_codecarbon()
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    kwh, library = Energy.from_energy(kWh=1.0), Emissions(DataSource())
    place = GeoMetadata(country_iso_code=site.country, country_name=name, region=site.region)
    if site.region is None:
        return library.get_country_emissions(kwh, place), basis
    return library.get_region_emissions(kwh, place), _regions(site.country)[site.region]


def check_place(site: Carbon, key: str = "carbon") -> None:
    """Check that CodeCarbon has data for a place.

    Args:
        site: The place.
        key: Where the study names it, for the message.

    Raises:
        UsageError: The country, region or cloud region is unknown; the message suggests another.
    """
    if site.cloud is not None:
        known = {*_clouds(), *MISSPELT}
        if site.cloud not in known:
            raise UsageError(
                f"{key}.cloud: CodeCarbon has no data for '{site.cloud}'; "
                f"{nearest(site.cloud, known)}"
            )
    if site.country is None:
        return
    countries = {code: mix["country_name"] for code, mix in _countries().items()}
    if site.country not in countries:
        raise UsageError(
            f"{key}.country: CodeCarbon has no data for '{site.country}'; "
            f"{_nearest_country(site.country, countries)}"
        )
    if site.region is not None and site.region not in _regions(site.country):
        hint = nearest(site.region, _regions(site.country))
        if site.country not in REGIONAL:
            hint = f"it knows regions of {', '.join(sorted(REGIONAL))} only"
        raise UsageError(
            f"{key}.region: CodeCarbon has no data for '{site.region}' in {site.country}; {hint}"
        )


def is_country(word: str) -> bool:
    """Whether a word, in any case, is the code of a country that CodeCarbon has data for."""
    return word.upper() in _countries()


def _nearest_country(word: str, countries: dict[str, str]) -> str:
    codes = {text.lower(): code for code, name in countries.items() for text in (name, code)}
    close = difflib.get_close_matches(word.lower(), codes, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{codes[close[0]]}' ({countries[codes[close[0]]]})?"
    return f"known (ISO 3166-1 alpha-3): {', '.join(sorted(countries))}"


def _of_cloud(name: str) -> tuple[float, str]:
    import_codecarbon()
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import CloudMetadata
    from codecarbon.input import DataSource

    cloud = CloudMetadata(*name.split("/"))
    factor = Emissions(DataSource()).get_cloud_emissions(Energy.from_energy(kWh=1.0), cloud)
    row = _clouds()[name]
    # The file names no year; its figures are those that Google published for 2023, as direct.
    return factor, (
        f"{name} ({row['city']}, {row['country_name']}) 2023, direct emissions of its grid, "
        f"CodeCarbon ({row['providerName']})"
    )


def _regions(country: str) -> dict[str, str]:
    """Names of a country's regions as CodeCarbon's functions take them, with their basis."""
    if country == "USA":
        data = _data("2023/usa_emissions.json")
        basis = f"2023, direct emissions, CodeCarbon ({data['_source']['name']})"
        return {name: f"{name}, United States {basis}" for name in data if name[0] != "_"}
    if country == "CAN":
        basis = "Canada 2023, direct emissions of its fuels, CodeCarbon"
        return {name: f"{name}, {basis}" for name in _data("2023/canada_energy_mix.json")}
    if country == "CHN":
        data = _data("2023/china_provincial_emissions.json")["data"]
        basis = "direct emissions of CO2 alone, CodeCarbon (MEE and NBS of China)"
        return {
            name: f"{province['description']}, China {province['year']}, {basis}"
            for province in data.values()
            for name in province["names"]
        }
    if country in ZONES:
        data = _data("nordic_emissions.json")["data"]
        return {
            name.lower(): _basis_of_zone(zone)
            for name, zone in data.items()
            if name.startswith(ZONES[country])
        }
    return {}


def _basis_of_zone(zone: dict[str, Any]) -> str:
    # For the one zone without a coverage CodeCarbon's data say that an earlier value was kept.
    known = f"ENTSO-E, covers {zone['coverage']}" if "coverage" in zone else "source not stated"
    kinds = "life cycle, but fossil fuels direct"
    return f"{zone['description']} {zone['year']}, {kinds}, CodeCarbon ({known})"


def _countries() -> dict[str, Any]:
    return _data("global_energy_mix.json")


def _clouds() -> dict[str, dict[str, str]]:
    path = codecarbon_data() / "cloud" / "impact.csv"
    rows = csv.DictReader(path.read_text("utf-8-sig").splitlines())
    return {f"{row['provider']}/{row['region']}": row for row in rows}


@cache
def _data(name: str) -> dict[str, Any]:
    folder = codecarbon_data() / "private_infra"
    found: dict[str, Any] = json.loads(folder.joinpath(name).read_text("utf-8"))
    return found
