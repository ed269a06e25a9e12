"""How many CPU threads a run uses, how idle ones wait, and that both are on record."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import harness
from harness.results.folder import RunFolder
from harness.results.rows import _attempt_rows, _phase_rows
from harness.results.run_energy import Ledger
from harness.scheduler.scheduler import WAITING, sleeping_threads
from tests import prepared

PLUGIN = """
import json
import os

from harness import Method, Record, Train


class Tells(Method):
    \"\"\"Trains for an epoch and records how idle threads are to wait.\"\"\"

    def phases(self, budget):
        yield Train("train", epochs=1)
        yield Record({"waiting": os.environ.get("OMP_WAIT_POLICY")})
"""


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    with sleeping_threads():
        found = {name: os.environ.get(name) for name in WAITING}
    assert found == {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "0"}
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "KMP_BLOCKTIME" not in os.environ


@pytest.mark.parametrize(("given", "asked", "threads"), [(3, "auto", 1), (1, 2, 2)])
def test_a_small_network_trains_with_one_thread_unless_asked(
    given, asked, threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What torch would take, on a machine with one core, too.
    monkeypatch.setenv("OMP_NUM_THREADS", str(given))
    monkeypatch.setattr("sys.executable", prepared.python())
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    (tmp_path / "tells.py").write_text(PLUGIN)
    table = harness.run(
        "quick",
        "tells",
        plugins=[tmp_path / "tells.py"],
        seeds=[0],
        out=tmp_path / "out",
        settings={"training.epochs": 1, "workload.train_samples": 320, "engine.threads": asked},
    )
    [run] = table.to_dict("records")
    assert run["status"] == "done"
    assert run["waiting"] == "PASSIVE"
    assert 0 < run["threads_in_use"] < threads + 0.5
    folder = RunFolder(next((tmp_path / "out").rglob("spec.json")).parent)
    [attempt] = _attempt_rows(Ledger(folder))
    assert attempt["threads"] == threads
    used = {row["phase"]: row["threads_in_use"] for row in _phase_rows(Ledger(folder))}
    assert 0 < used["train"] < threads + 0.5
    study = json.loads((tmp_path / "out" / "study.json").read_text())
    assert study["engine"]["threads"] == asked
