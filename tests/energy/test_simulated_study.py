"""A study measured through the stand-in driver: the right joules, called simulated to the page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import RunFolder
from harness.results.run_energy import Ledger
from harness.results.table import load
from tests.conftest import Harness, thinned
from tests.energy.conftest import Pretend
from tests.fakes.plug import FakePlug

SECRET = "open-sesame-1"  # noqa: S105 - of a stand-in
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
    runs = [RunFolder(spec.parent) for spec in (tmp_path / "out").rglob("spec.json")]
    entries = [entry for run in runs for entry in Ledger(run).entries]
    off_j = np.array([abs(e.joules.energy_j - POWER_W * e.duration_s) for e in entries])
    stated_j = np.array([e.joules.uncertainty_j for e in entries])
    assert len(entries) > 20
    assert off_j.max() <= update_j
    assert np.isfinite(stated_j).all()
    assert (
        np.mean(off_j <= stated_j) >= 0.85
    )  # of 95 % intervals, on a machine that is late at times
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "simulated" in page
    assert "SIMULATED" in page
    assert "dense's simulated energy" in " ".join(ended.stdout.split())


def test_a_study_that_wants_its_gpus_alone_is_refused_beside_others(
    harness: Harness, stand_in: Pretend, tmp_path: Path
) -> None:
    stand_in(gpus=1).gpus[0].processes = {os.getpid(): 1 << 30}
    ended = harness(
        *("dense", "--seed", "0", "--out", "out", "--set", "training.epochs=1"),
        *("--set", "energy.gpus=all", "--set", "energy.isolation=error"),
        *("--set", "energy.idle_s=0"),
    )
    assert ended.returncode == 5
    words = " ".join(ended.stderr.split())
    assert re.search(f"energy.isolation: other processes use GPU-[-0-9]+: PID {os.getpid()}", words)
    assert "Traceback" not in words
    journals = [path.read_text() for path in (tmp_path / "out").rglob("journal*")]
    assert not any("epoch" in text for text in journals)


@pytest.mark.parametrize("scope", thinned(("machine", "parts"), ("parts",)))
def test_a_plug_that_leaves_the_network_costs_coverage_and_not_the_run(
    scope: str,
    harness: Harness,
    tmp_path: Path,
    no_driver: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del no_driver
    monkeypatch.setenv("ENERGY_HARNESS_PLUG_PASSWORD", SECRET)
    with FakePlug("shelly2", power_w=60.0, password=SECRET) as plug:
        plug.is_live = True
        plug.fails_after = 9 if scope == "machine" else 5  # the search, and two readings or three
        ended = harness(
            *("dense", "--seed", "0", "--out", "out", "--set", "training.epochs=6"),
            *("--set", f"energy.scope={scope}", "--set", f'energy.plugs=["{plug.address}"]'),
            *("--set", "energy.idle_s=0", "--no-report"),
        )
    assert ended.returncode == 0, ended.stderr
    [row] = load(tmp_path / "out").to_dict("records")
    assert row["status"] == "done"
    assert "no answer" in row["energy_flags"]
    records = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(records) > 5
    assert not [path for path in records if SECRET.encode() in path.read_bytes()]
    assert SECRET not in ended.stdout + ended.stderr
    if scope == "machine":
        assert row["energy_scope"] == "machine"
        assert row["coverage"] < 0.9
        assert pd.isna(row["machine_j"])
    else:
        assert row["energy_source"] == "estimated"
        assert row["coverage"] == 1
        assert row["machine_j"] > 0
