"""The names for other programs: run a study, measure a block, from Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import harness
from harness.results.folder import StudyFolder
from tests import prepared
from tests.conftest import REPOSITORY
from tests.fakes.stand_in import StandIn

POWER_W = 200.0
MEASURES = """
import json, time, harness

with harness.measure() as energy:
    time.sleep(3)

@harness.measure(idle_s=0.5)
def work(seconds):
    time.sleep(seconds)
    return seconds

@energy
def again():
    try:
        with energy:
            pass
    except RuntimeError as error:
        return str(error)

one, answer = energy.found, work(0.1)
print(json.dumps([one.joules.energy_j, one.duration_s, answer, again(), energy.found.duration_s]))
"""


def test_a_block_and_a_function_are_measured(library: Path, tmp_path: Path) -> None:
    (tmp_path / "driver").mkdir()
    machine = StandIn(tmp_path / "driver" / "state", power_w=[POWER_W])
    env = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    ended = subprocess.run(
        [prepared.python(), "-c", MEASURES],
        env={**env, "PYTHONPATH": str(REPOSITORY), **machine.environment(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    machine.close()
    energy_j, duration_s, output, refused, last_s = json.loads(ended.stdout)
    assert energy_j == pytest.approx(POWER_W * duration_s, rel=0.02)
    assert duration_s >= 3
    assert output == 0.1
    assert "open already" in refused
    assert last_s < duration_s


def test_a_study_is_run_and_its_table_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A search shorter than its window: no mask has all of the others to be compared with.
    monkeypatch.setattr("sys.executable", prepared.python())
    table = harness.run(
        "quick",
        "early_bird",
        seeds=[0],
        out=tmp_path / "out",
        settings={"training.epochs": 4, "workload.root": None},
    )
    assert list(table["status"]) == ["done"]
    assert StudyFolder(tmp_path / "out").study().workload.root is None
    assert (tmp_path / "out" / "report" / "figures" / "ticket_emergence.svg").exists()


def test_a_wrong_word_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(harness.UsageError, match="did you mean 'early_bird'"):
        harness.run("quick", "earlybird", out=tmp_path / "out")
    with pytest.raises(harness.UsageError, match=r"training\.epocs: unknown key"):
        harness.run("quick", out=tmp_path / "out", settings={"training.epocs": 1})
    assert not (tmp_path / "out").exists()


def test_every_public_name_is_there() -> None:
    for name in harness.__all__:
        assert getattr(harness, name) is not None
    # No module of the same name hides a function once it is imported.
    assert not (REPOSITORY / "harness" / "run.py").exists()
    assert callable(harness.run)
