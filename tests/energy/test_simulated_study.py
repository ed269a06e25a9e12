"""A study measured through the stand-in driver: the right joules, called simulated to the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.results.folder import RunFolder
from harness.results.ledger import Ledger
from harness.results.table import load
from tests.conftest import Harness
from tests.energy.conftest import Pretend

POWER_W = 400.0
UPDATE_S = 0.1


def test_joules_are_power_times_time_and_called_simulated(
    harness: Harness, stand_in: Pretend, tmp_path: Path
) -> None:
    stand_in(power_w=[300, 100], counter_update_ms=UPDATE_S * 1000)
    ended = harness(
        *("dense", "early_bird", "--seed", "0", "--out", "out"),
        *("--set", "training.epochs=3", "--set", "energy.gpus=all"),
    )
    assert ended.returncode == 0, ended.stderr
    table = load(tmp_path / "out")
    assert set(table["energy_source"]) == {"simulated"}
    assert set(table["energy_scope"]) == {"gpu"}
    assert (table["coverage"] == 1).all()
    # At a constant power every window is known; what stays is when the counter was updated.
    update_j = POWER_W * UPDATE_S
    truth = POWER_W * table["duration_s"]
    assert table["energy_j"].to_numpy() == pytest.approx(truth.to_numpy(), abs=update_j)
    for spec in (tmp_path / "out").rglob("spec.json"):
        for entry in Ledger(RunFolder(spec.parent)).entries:
            off_j = abs(entry.joules.energy_j - POWER_W * entry.duration_s)
            assert off_j <= min(update_j, entry.joules.uncertainty_j)
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "simulated" in page
    assert "SIMULATED" in page
    assert "dense's simulated energy" in " ".join(ended.stdout.split())
