"""The tidy table says what the raw records and the study say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.results.table import Tables
from tests.results.test_resume import POWER_W, SPECS, attempt, start


def test_co2e_is_the_energy_times_the_factor_of_the_studys_site(tmp_path: Path) -> None:
    folder = start(SPECS[0], tmp_path)
    attempt(SPECS[0], folder)
    settings = tmp_path / "study.json"
    saved = json.loads(settings.read_text())
    settings.write_text(json.dumps(saved | {"carbon": {"country": "FRA", "pue": 1.5}}))
    [row] = Tables(tmp_path).runs.to_dict("records")
    assert row["energy_j"] == pytest.approx(POWER_W * row["duration_s"], rel=1e-6)
    assert row["co2e_kg"] == pytest.approx(row["energy_j"] / 3.6e6 * 0.056039 * 1.5, rel=1e-6)
    assert row["carbon_basis"].startswith("France 2023, life cycle, CodeCarbon")
