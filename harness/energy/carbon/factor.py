"""From joules to kilograms of CO2 equivalent, at one place."""

from __future__ import annotations

from dataclasses import dataclass

from harness.energy.carbon.grid import check_place, grid_factor, is_country
from harness.settings import Carbon

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Co2e:
    """CO2e of some energy.

    Attributes:
        kg: Kilograms.
        basis: By what it was calculated, in words.
    """

    kg: float
    basis: str


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
    """The factor of a site that holds at any time: given by hand, else its grid's.

    Country figures are life-cycle averages of a year, those of most regions and of cloud regions
    direct emissions only: the basis says which, since the two are not comparable.

    Raises:
        UsageError: CodeCarbon has no data for the place. (It would fall back silently.)
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
        UsageError: A name is no place that CodeCarbon has data for.
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
