"""From joules to kilograms of CO2 equivalent, at one place."""

from __future__ import annotations

from dataclasses import dataclass

from harness.energy.grid import check_place, grid_factor
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


def check_site(site: Carbon) -> None:
    """Refuse whatever would go wrong later, before anything is trained.

    Raises:
        UsageError: A place is unknown, so CodeCarbon would silently take another.
    """
    check_place(site)
