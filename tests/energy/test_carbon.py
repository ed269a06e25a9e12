"""Emission factors against CodeCarbon's data files, read here without CodeCarbon."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from typing import Any

import pytest

from harness.energy.carbon.factor import CarbonFactor, carbon_factor, grid_factor
from harness.energy.carbon.quiet import import_codecarbon
from harness.settings.settings import Carbon

POUND_KG = 0.45359237
DIRECT_KG = {"coal": 0.995725971, "petroleum": 0.8166885263, "naturalGas": 0.7438415916}
"""CodeCarbon's direct emissions of a kWh by fuel; it counts no other source as emitting."""


def data(*path: str) -> dict[str, Any]:
    folder = files("codecarbon").joinpath("data", "private_infra")
    return json.loads(folder.joinpath(*path).read_text("utf-8"))


COUNTRIES = data("global_energy_mix.json")
STATES = {
    name: each["emissions"]
    for name, each in data("2023", "usa_emissions.json").items()
    if not name.startswith("_")
}
PROVINCES = data("2023", "canada_energy_mix.json")
CHINA = list(data("2023", "china_provincial_emissions.json")["data"].values())
ZONES = data("nordic_emissions.json")["data"]
NORDIC = {"SE": "SWE", "NO": "NOR", "FI": "FIN"}
CLOUDS = {
    f"{row['provider']}/{row['region']}": row
    for row in csv.DictReader(
        files("codecarbon")
        .joinpath("data", "cloud", "impact.csv")
        .read_text("utf-8-sig")
        .split("\n")
    )
}


def test_every_country_has_its_own_figure() -> None:
    factors = {code: carbon_factor(Carbon(country=code)).kg_per_kwh for code in COUNTRIES}
    expected = {code: mix["carbon_intensity"] / 1000 for code, mix in COUNTRIES.items()}
    assert factors == pytest.approx(expected)


def test_every_country_has_the_figure_that_codecarbon_gives() -> None:
    import_codecarbon()
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    library, kwh = Emissions(DataSource()), Energy.from_energy(kWh=1.0)
    for code, mix in COUNTRIES.items():
        place = GeoMetadata(country_iso_code=code, country_name=mix["country_name"])
        theirs = library.get_country_emissions(kwh, place)
        assert grid_factor(Carbon(country=code, pue=1))[0] == theirs


def test_every_state_is_converted_from_pounds_a_megawatt_hour() -> None:
    factors = {s: carbon_factor(Carbon(country="USA", region=s)).kg_per_kwh for s in STATES}
    expected = {state: pounds * POUND_KG / 1000 for state, pounds in STATES.items()}
    assert len(expected) > 50
    assert factors == pytest.approx(expected)


def test_every_province_counts_what_its_fuels_emit() -> None:
    factors = {p: carbon_factor(Carbon(country="CAN", region=p)).kg_per_kwh for p in PROVINCES}
    expected = {
        province: sum(mix[fuel] * kg for fuel, kg in DIRECT_KG.items()) / mix["total"]
        for province, mix in PROVINCES.items()
    }
    assert factors == pytest.approx(expected)


def test_every_chinese_province_has_its_figure_under_each_of_its_names() -> None:
    expected = {name: each["emission_factor"] / 1000 for each in CHINA for name in each["names"]}
    factors = {p: carbon_factor(Carbon(country="CHN", region=p)).kg_per_kwh for p in expected}
    assert len(expected) > 30
    assert factors == pytest.approx(expected)


def test_every_nordic_zone_has_its_figure() -> None:
    factors = {
        zone: carbon_factor(Carbon(country=NORDIC[zone[:2]], region=zone.lower())).kg_per_kwh
        for zone in ZONES
    }
    expected = {zone: each["emission_factor"] / 1000 for zone, each in ZONES.items()}
    assert len(expected) >= 10
    assert factors == pytest.approx(expected)


def test_every_cloud_region_has_its_figure() -> None:
    factors = {name: carbon_factor(Carbon(cloud=name)).kg_per_kwh for name in CLOUDS}
    expected = {name: float(row["impact"]) / 1000 for name, row in CLOUDS.items()}
    assert len(expected) >= 40
    assert factors == pytest.approx(expected)


def test_cloud_figures_are_those_of_the_year_that_the_basis_names() -> None:
    """Google's grid carbon intensities of 2023; other years have other figures."""
    published = {"europe-west2": 0.136, "us-east5": 0.322, "africa-south1": 0.646}
    found = {name: carbon_factor(Carbon(cloud=f"gcp/{name}")) for name in published}
    assert {name: each.kg_per_kwh for name, each in found.items()} == pytest.approx(published)
    assert all("2023" in each.basis for each in found.values())


def test_a_cloud_region_that_the_data_misspell_is_found_by_its_right_name() -> None:
    assert "Doha, Qatar" in carbon_factor(Carbon(cloud="gcp/me-central1")).basis


def test_without_country_the_world_average_is_taken_and_named() -> None:
    found = carbon_factor(Carbon())
    world = data("carbon_intensity_per_source.json")["world_average"]
    assert found.kg_per_kwh == pytest.approx(world / 1000)
    assert "world average" in found.basis


def test_co2e_by_hand() -> None:
    """Two kilowatt-hours at 381 g are 762 g."""
    factor = CarbonFactor(0.381, "by hand")
    assert factor.co2e_kg(7.2e6) == pytest.approx(0.762)


@pytest.mark.parametrize(
    "site", [{}, {"country": "DEU"}, {"cloud": "gcp/us-west1"}, {"kg_per_kwh": 0.3}]
)
def test_pue_multiplies(site) -> None:
    plain, building = carbon_factor(Carbon(**site)), carbon_factor(Carbon(**site, pue=1.5))
    assert building.kg_per_kwh == pytest.approx(1.5 * plain.kg_per_kwh)
    assert "PUE 1.5" in building.basis


@pytest.mark.parametrize("given_kg", [0.0, 0.05])
@pytest.mark.parametrize("site", [{}, {"country": "DEU"}, {"cloud": "gcp/us-west1"}])
def test_factor_given_by_hand_wins(given_kg, site) -> None:
    found = carbon_factor(Carbon(**site, kg_per_kwh=given_kg))
    assert found.kg_per_kwh == given_kg
    assert "given" in found.basis


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ({}, ["world", "2019", "475 g/kWh", "PUE 1"]),
        ({"country": "SWE"}, ["Sweden", str(COUNTRIES["SWE"]["year"]), "life cycle", "41 g/kWh"]),
        ({"country": "USA", "region": "ohio"}, ["ohio", "United States", "2023", "direct"]),
        ({"country": "USA", "region": "ohio"}, ["EPA eGRID2023", "CodeCarbon"]),
        ({"country": "CAN", "region": "quebec"}, ["quebec", "Canada", "2023", "direct"]),
        ({"country": "CHN", "region": "neimenggu"}, ["Inner Mongolia", "2023", "CO2 alone", "MEE"]),
        ({"country": "SWE", "region": "se4"}, ["Southern Sweden", "2025", "85.05%", "ENTSO-E"]),
        ({"country": "FIN", "region": "fi"}, ["Finland", "source not stated"]),
        ({"cloud": "gcp/europe-west1"}, ["Belgium", "2023", "direct", "122 g/kWh", "Google Cloud"]),
    ],
)
def test_basis_names_place_year_and_kind(site, words) -> None:
    basis = carbon_factor(Carbon(**site)).basis
    assert [word for word in words if word not in basis] == []
