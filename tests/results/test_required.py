"""`--require-measured`: every reason for which a run's energy does not count as measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from harness.energy.sensors import rapl
from harness.energy.sensors.discover import check_measurable
from harness.errors import MeasurementError
from harness.results.energy_source import unmeasured
from harness.settings.settings import EnergySettings
from tests.conftest import Harness
from tests.fakes.rapl import FakeRapl

ROW = {"arm": "dense", "seed": 0, "energy_source": "counter", "coverage": 1.0, "energy_flags": ""}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"energy_source": "counter+sampled"}, None),
        ({"coverage": 0.995}, None),
        ({"energy_source": "estimated"}, "its energy is estimated"),
        ({"energy_source": "simulated"}, "its energy is simulated"),
        ({"energy_source": "counter+simulated"}, "its energy is counter+simulated"),
        ({"energy_source": "none", "coverage": 0.0}, "no sensor was read"),
        ({"coverage": 0.8}, "only 80.0% of its time was observed"),
        ({"coverage": float("nan")}, "only nan% of its time was observed"),
        (
            {"coverage": 0.8, "energy_flags": "GPU is lost"},
            "only 80.0% of its time was observed (GPU is lost)",
        ),
    ],
)
def test_what_was_not_measured_is_reported_with_its_reason(changed, reason) -> None:
    tables = SimpleNamespace(runs=pd.DataFrame([ROW | changed]))
    assert unmeasured(tables) == ([f"dense, seed 0: {reason}"] if reason else [])


def test_where_nothing_measures_a_study_is_refused_before_it_begins(
    harness: Harness, tmp_path: Path
) -> None:
    meters = ("--set", 'energy.meters=["estimate"]')
    ended = harness("dense", "--out", "out", "--require-measured", *meters)
    assert ended.returncode == 5
    assert ended.stderr == ("error: no sensor measures energy here; all energy here is estimated\n")
    assert list(tmp_path.iterdir()) == []


def test_a_sensor_that_measures_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EnergySettings(meters=("rapl", "estimate"))
    FakeRapl(tmp_path, {"intel-rapl:0": "package-0"}, 50.0)
    monkeypatch.setenv(rapl.ELSEWHERE, str(tmp_path))
    with pytest.raises(MeasurementError, match="all energy here is estimated or simulated"):
        check_measurable(settings)
    monkeypatch.delenv(rapl.ELSEWHERE)
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    check_measurable(settings)
