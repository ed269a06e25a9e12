"""Well-known places whose electricity differs much, to hold a study's CO2e against."""

from __future__ import annotations

from harness.energy.carbon.factor import CarbonFactor, carbon_factor
from harness.settings import Carbon

COUNTRIES = ("SWE", "FRA", "BRA", "GBR", "USA", "DEU", "JPN", "AUS", "CHN", "POL", "ZAF", "IND")
"""From little carbon to much (2023); all life-cycle averages of a year, so comparable with each
other."""


def reference_places(pue: float) -> dict[str, CarbonFactor]:
    """The factor of each, by the code of its country."""
    return {code: carbon_factor(Carbon(country=code, pue=pue)) for code in COUNTRIES}
