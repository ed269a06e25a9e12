"""CO2e by place and by hour: the energy times a factor, and what the captions must say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from reports.data import HOUR_COLUMNS, PLACE_COLUMNS
from reports.figures import co2_hours
from reports.tables.places import bases, is_direct_only, place_name, places
from tests.reports.details import detailed
from tests.reports.readable_figure import assert_readable, assert_same_bytes
from tests.reports.synthetic import PLANS, make

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults
    from reports.tables.table import Table

KWH_J = 3.6e6
LONG = ["dense"] + [
    f"{method} prune_ratio=0.{i} max_distance=0.0{i} l1_gamma=0.000{i}"
    for i, method in enumerate(["early_bird"] * 4 + ["progressive"] * 4 + ["lottery_ticket"] * 4)
]
ODD = dict.fromkeys(["$x_1^{", "a<b>&c", "_hidden", "x" * 60], "early_bird") | {"dense": "dense"}


@pytest.fixture(scope="module")
def study() -> StudyResults:
    return detailed(make())


def mean_kwh(results: StudyResults, arm: str) -> float:
    return float(np.mean(list(results.by_seed(arm, "energy_j").values()))) / KWH_J


def with_places(results: StudyResults, *rows: tuple[str, float, str, str]) -> StudyResults:
    return replace(results, places=pd.DataFrame(list(rows), columns=PLACE_COLUMNS))


HERE = ("here", 0.3, "France 2023, life cycle, CodeCarbon, 300 g/kWh, PUE 1", "here")


@pytest.mark.parametrize(
    ("place", "role", "basis", "name"),
    [
        ("SWE", "reference", "Sweden 2023, life cycle", "Sweden"),
        ("KOR", "also", "South Korea 2023, life cycle", "South Korea"),
        ("USA/california", "also", "california, United States 2023", "California, United States"),
        ("SWE/se1", "also", "SE1 2024, life cycle, but fossil fuels direct", "SE1, Sweden"),
        ("gcp/europe-west1", "also", "gcp/europe-west1 2023, direct", "gcp/europe-west1"),
        ("XKX", "also", "Kosovo 2023, life cycle", "XKX"),
    ],
)
def test_places_have_names(place: str, role: str, basis: str, name: str) -> None:
    assert place_name(place, role, basis) == name


@pytest.mark.parametrize(
    ("called", "rest"),
    [
        ("factor given by the study", "50 g/kWh, PUE 1"),
        ("world average (IEA 2019)", "direct emissions, 475 g/kWh, PUE 1.5"),
        ("ohio, United States 2023", "direct emissions, CodeCarbon (EPA), 300 g/kWh, PUE 1"),
        ("gcp/x1 (St. Ghislain, Belgium) 2023", "direct emissions of its grid, CodeCarbon"),
        ("Malta year not stated", "life cycle, CodeCarbon (Our World in Data)"),
    ],
)
def test_here_is_called_by_its_basis(called: str, rest: str) -> None:
    assert place_name("here", "here", f"{called}, {rest}") == f"here: {called}"


def test_bases_of_one_kind_stand_together() -> None:
    kind = "life cycle, CodeCarbon (Our World in Data)"
    notes = bases(
        [
            ("reference", f"Sweden 2023, {kind}, 41 g/kWh, PUE 1.5"),
            ("here", "world average (IEA 2019), direct emissions, 475 g/kWh, PUE 1.5"),
            ("also", f"France 2022, {kind}, 56 g/kWh, PUE 1.5"),
        ]
    )
    assert notes == (
        f"Sweden 2023, France 2022 ({kind}). here: world average (IEA 2019) (direct emissions)"
    )


def test_direct_emissions_are_kept_apart_from_a_life_cycle() -> None:
    assert is_direct_only("ohio, United States 2023, direct emissions, CodeCarbon")
    assert not is_direct_only("SE1 2024, life cycle, but fossil fuels direct, CodeCarbon")
    assert not is_direct_only("factor given by the study")


def listed(results: StudyResults) -> Table:
    table = places(results)
    assert table is not None
    return table


def test_a_place_has_one_row_that_holds_for_every_method(study: StudyResults) -> None:
    table = listed(study)
    assert len(table.rows) == len(study.places)
    factors = sorted(study.places["kg_per_kwh"])
    assert [row[1].value for row in table.rows] == pytest.approx(factors)
    [here] = study.places.loc[study.places["role"] == "here", "kg_per_kwh"]
    assert [row[2].value for row in table.rows] == pytest.approx([f / here for f in factors])
    kwh = mean_kwh(study, "dense")
    assert [row[3].value for row in table.rows] == pytest.approx([f * kwh for f in factors])


def test_places_stand_by_factor_and_each_once(study: StudyResults) -> None:
    france = ("FRA", 0.3, HERE[2], "reference")
    rows = [("ZAF", 0.7, "South Africa 2023, life cycle", "reference"), france, HERE]
    table = listed(with_places(study, *rows))
    assert [row[0].text for row in table.rows] == ["here: France 2023", "South Africa"]


def test_the_table_of_places_says_what_they_rest_on(study: StudyResults) -> None:
    table = listed(study)
    for part in ("not measured there", "* Direct emissions alone, hence not comparable", "PUE"):
        assert part in table.legend
    assert "here: world average (IEA 2019) *" in [row[0].text for row in table.rows]
    assert any("Sweden 2023" in row[4].text for row in table.rows)
    assert "estimated energy" in table.header[3]
    assert "not comparable" not in listed(with_places(study, HERE)).legend


def test_a_factor_that_the_tables_do_not_use_is_reported(study: StudyResults) -> None:
    runs = study.runs.assign(carbon_basis="series grid.csv, 2026-01-01 to 2026-02-01, PUE 1")
    table = listed(with_places(replace(study, runs=runs), HERE))
    assert "another basis: series grid.csv" in table.legend
    same = replace(study, runs=study.runs.assign(carbon_basis=HERE[2]))
    assert "another basis" not in listed(with_places(same, HERE)).legend


def test_without_a_factor_or_an_energy_there_is_no_table(study: StudyResults) -> None:
    assert places(replace(study, places=study.places.iloc[:0])) is None
    assert places(replace(study, runs=study.runs.assign(energy_j=np.nan))) is None
    green = ("here", 0.0, "factor given by the study, 0 g/kWh, PUE 1", "here")
    assert places(with_places(study, green)) is None


def test_the_hour_of_a_run_is_its_energy_times_the_factor(study: StudyResults) -> None:
    figured = co2_hours.draw(study)
    assert figured is not None
    factors = study.hours.set_index(["arm", "hour"])
    assert len(figured.frame) == 4 * 24
    for row in figured.frame.to_dict("records"):
        factor = factors.loc[(row["arm"], row["hour"])]
        kwh = mean_kwh(study, row["arm"])
        assert row["co2e_kg"] == pytest.approx(factor["kg_per_kwh"] * kwh)
        assert row["co2e_kg_low"] == pytest.approx(factor["kg_per_kwh_low"] * kwh)
        assert row["co2e_kg_high"] == pytest.approx(factor["kg_per_kwh_high"] * kwh)
    panel = figured.figure.axes[0]
    [mean] = [line for line in panel.lines if len(line.get_xdata()) == 24]
    own = figured.frame[figured.frame["arm"] == "dense"]
    assert mean.get_ydata() == pytest.approx(own["co2e_kg"] * 1e3)
    assert panel.get_ylim()[0] == 0


def test_the_best_hour_is_marked(study: StudyResults) -> None:
    figured = co2_hours.draw(study)
    assert figured is not None
    # The factor is lowest twelve hours from its height at 19:00: 0.23 to 0.47 kg.
    for panel in figured.figure.axes:
        assert "07:00 is 51 % below 19:00" in panel.get_title(loc="left")
        [mark] = [line for line in panel.lines if line.get_marker() != "None"]
        assert list(mark.get_xdata()) == [7]
    assert len(figured.marks.tips) == 4
    assert "dense: 5.97 mg to 12.2 mg, 07:00 is 51 % below 19:00." in figured.alt


def hours_of(results: StudyResults, hours: list[int], factor: float) -> StudyResults:
    rows = [("dense", hour, factor, factor, factor) for hour in hours]
    return replace(results, hours=pd.DataFrame(rows, columns=HOUR_COLUMNS))


def test_hours_that_are_alike_or_missing() -> None:
    results = detailed(make(["dense", "early_bird"], source="counter"))
    figured = co2_hours.draw(hours_of(results, [3, 4, 9], 0.4))
    assert figured is not None
    [panel] = figured.figure.axes
    assert "no hour is better" in panel.get_title(loc="left")
    [mean] = [line for line in panel.lines if len(line.get_xdata()) == 24]
    assert np.flatnonzero(np.isfinite(mean.get_ydata())).tolist() == [3, 4, 9]
    assert "Hollow" not in figured.caption


def test_no_series_no_figure(study: StudyResults) -> None:
    assert co2_hours.draw(detailed(make(), hours=False)) is None
    assert co2_hours.draw(replace(study, runs=study.runs.assign(energy_j=np.nan))) is None


def test_the_caption_of_hours_names_the_series(study: StudyResults) -> None:
    basis = "series grid.csv, 2026-01-01T00:00:00+00:00 to 2026-02-01T00:00:00+00:00, PUE 1.2"
    notes = ["", "; 3.0% of the energy was drawn outside its time, counted at its nearest end"]
    runs = study.runs.assign(carbon_basis=[basis + notes[n % 2] for n in range(len(study.runs))])
    figured = co2_hours.draw(replace(study, runs=runs))
    assert figured is not None
    assert f"Factors: {basis}. " in figured.caption
    for part in ("(UTC)", "mean duration of its runs", "not measured", "lowest and highest day"):
        assert part in figured.caption


@pytest.mark.parametrize(
    ("arms", "seeds", "scale"),
    [(["dense"], 1, 1.0), (list(PLANS), 3, 1e-5), (LONG, 3, 1e8), (ODD, 2, 1.0)],
    ids=["1", "4", "13", "odd"],
)
def test_figures_can_be_read_and_hidden_arm_by_arm(arms: Any, seeds: int, scale: float) -> None:
    results = detailed(make(arms, seeds, scale=scale, spread=min(1.0, scale)))
    figured = co2_hours.draw(results)
    assert figured is not None
    assert_readable(figured.figure)
    shown = results.arms[:12]
    assert sorted(set(figured.frame["arm"])) == sorted(shown)
    assert set(figured.marks.arms.values()) == {results.arms.index(arm) for arm in shown}


def test_simulated_is_written_across_and_failed_runs_are_left_out() -> None:
    results = detailed(
        make(["dense", "early_bird"], failed=[("early_bird", 0)], source="simulated")
    )
    figured = co2_hours.draw(results)
    assert figured is not None
    assert "SIMULATED" in [text.get_text() for text in figured.figure.texts]
    own = figured.frame[figured.frame["arm"] == "early_bird"]
    factor = results.hours
    assert own["co2e_kg"].max() == pytest.approx(
        mean_kwh(results, "early_bird") * factor["kg_per_kwh"].max()
    )


def test_the_same_results_give_the_same_bytes(study: StudyResults, tmp_path: Path) -> None:
    assert_same_bytes(lambda: co2_hours.draw(study), tmp_path)
