"""From joules to kilograms of CO2 equivalent, by CodeCarbon's data, offline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from harness.errors import UsageError, nearest
from harness.settings import Carbon

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class CarbonFactor:
    """Kilograms of CO2e for a kilowatt-hour at the meter of the computer.

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
    """The factor of a site; without a country, the world's average.

    Country figures are life-cycle averages of a year, regions of the USA and Canada direct
    emissions only: the basis says which, since the two are not comparable.

    Raises:
        UsageError: CodeCarbon has no data for the country or region. (It would fall back silently.)
    """
    kg_per_kwh, basis = _grid_factor(site)
    return CarbonFactor(
        kg_per_kwh * site.pue, f"{basis}, {kg_per_kwh * 1000:.0f} g/kWh, PUE {site.pue:g}"
    )


def check_site(site: Carbon) -> None:
    """Refuse a country or region that CodeCarbon's data do not hold.

    Raises:
        UsageError: The country or region is unknown, so CodeCarbon would silently take another.
    """
    if site.country is None:
        return
    if site.country not in _countries():
        raise UsageError(
            f"carbon.country: CodeCarbon has no data for '{site.country}'; "
            "give an ISO 3166-1 alpha-3 code, such as DEU or USA"
        )
    if site.region is not None:
        regions = _regions(site.country)
        if site.region not in regions:
            raise UsageError(
                f"carbon.region: CodeCarbon has no data for '{site.region}' in {site.country}; "
                f"{nearest(site.region, regions)}"
            )


def _grid_factor(site: Carbon) -> tuple[float, str]:
    if site.kg_per_kwh is not None:
        return site.kg_per_kwh, "factor given by the study"
    if site.country is None:
        world = _data("carbon_intensity_per_source.json")["world_average"]
        return float(world) / 1000, "world average (IEA 2019)"
    check_site(site)
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    mix = _countries()[site.country]
    place = GeoMetadata(
        country_iso_code=site.country, country_name=mix["country_name"], region=site.region
    )
    factor = Emissions(DataSource()).get_private_infra_emissions(Energy.from_energy(kWh=1.0), place)
    if site.region is None:
        year = mix.get("year", "year not stated")
        return factor, f"{mix['country_name']} {year}, life cycle, CodeCarbon"
    return factor, f"{site.region}, {mix['country_name']} 2023, direct emissions, CodeCarbon"


def _countries() -> dict[str, Any]:
    return _data("global_energy_mix.json")


def _regions(country: str) -> list[str]:
    known = {"USA": "2023/usa_emissions.json", "CAN": "2023/canada_energy_mix.json"}
    return [name for name in _data(known[country]) if name[0] != "_"] if country in known else []


def _data(name: str) -> dict[str, Any]:
    folder = files("codecarbon").joinpath("data", "private_infra")
    found: dict[str, Any] = json.loads(folder.joinpath(name).read_text("utf-8"))
    return found
