"""Emission factors against CodeCarbon's data files, read here without CodeCarbon."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from harness.energy.carbon import CarbonFactor, carbon_factor, check_site
from harness.errors import UsageError
from harness.settings import Carbon

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


def test_every_country_has_its_own_figure() -> None:
    factors = {code: carbon_factor(Carbon(country=code)).kg_per_kwh for code in COUNTRIES}
    expected = {code: mix["carbon_intensity"] / 1000 for code, mix in COUNTRIES.items()}
    assert factors == pytest.approx(expected)


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


def test_without_country_the_world_average_is_taken_and_named() -> None:
    found = carbon_factor(Carbon())
    world = data("carbon_intensity_per_source.json")["world_average"]
    assert found.kg_per_kwh == pytest.approx(world / 1000)
    assert "world average" in found.basis


def test_co2e_by_hand() -> None:
    """Two kilowatt-hours at 381 g are 762 g."""
    factor = CarbonFactor(0.381, "by hand")
    assert factor.co2e_kg(7.2e6) == pytest.approx(0.762)


@pytest.mark.parametrize("site", [{}, {"country": "DEU"}, {"country": "USA", "region": "ohio"}])
def test_pue_multiplies(site) -> None:
    plain, building = carbon_factor(Carbon(**site)), carbon_factor(Carbon(**site, pue=1.5))
    assert building.kg_per_kwh == pytest.approx(1.5 * plain.kg_per_kwh)
    assert "PUE 1.5" in building.basis


@pytest.mark.parametrize("given_kg", [0.0, 0.05])
def test_factor_given_by_hand_wins(given_kg) -> None:
    found = carbon_factor(Carbon(country="DEU", kg_per_kwh=given_kg))
    assert found.kg_per_kwh == given_kg
    assert "given" in found.basis


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ({}, ["world", "2019", "475 g/kWh", "PUE 1"]),
        ({"country": "SWE"}, ["Sweden", str(COUNTRIES["SWE"]["year"]), "life cycle", "41 g/kWh"]),
        ({"country": "USA", "region": "ohio"}, ["ohio", "United States", "2023", "direct"]),
        ({"country": "CAN", "region": "quebec"}, ["quebec", "Canada", "2023", "direct"]),
    ],
)
def test_basis_names_place_year_and_kind(site, words) -> None:
    basis = carbon_factor(Carbon(**site)).basis
    assert [word for word in words if word not in basis] == []


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"country": "XYZ"}, "carbon.country: .*'XYZ'"),
        ({"country": "USA", "region": "calfornia"}, "did you mean 'california'"),
        ({"country": "USA", "region": "California"}, "did you mean 'california'"),
        ({"country": "USA", "region": "_unit"}, "carbon.region: .*'_unit' in USA"),
        ({"country": "CAN", "region": "ohio"}, "carbon.region: .*'ohio' in CAN"),
        ({"country": "SWE", "region": "atlantis"}, "carbon.region: .*'atlantis' in SWE"),
    ],
)
def test_place_without_data_is_refused(site, message) -> None:
    for refuse in (carbon_factor, check_site):
        with pytest.raises(UsageError, match=message):
            refuse(Carbon(**site))
