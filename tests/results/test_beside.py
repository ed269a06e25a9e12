"""What was read beside a run's own devices is listed, and in no total."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.results.folder import RunFolder
from harness.results.run_energy import Ledger
from tests.energy.traces import SECOND, sensor

POWER_W = {"run": 100.0, "spare": 30.0, "host": 250.0}


def run_of(folder: Path, owners: list[str]) -> RunFolder:
    """Ten seconds, from the second on, of devices that draw a constant power each."""
    run = RunFolder(folder)
    events = [
        {"event": "attempt", "time_ns": SECOND, "number": 1, "restored": 0},
        {"event": "end", "time_ns": 11 * SECOND, "status": "done"},
    ]
    run.journal.write_text("".join(json.dumps(event) + "\n" for event in events))
    sensors = [
        replace(sensor("power"), device=f"{owner}-device", owner=owner).to_json()
        for owner in owners
    ]
    lines = [{"sensors": sensors, "notes": [], "period_s": 0.1, "recorder_pid": 1}]
    lines += [
        [number, tenth * SECOND // 10, POWER_W[owner]]
        for tenth in range(121)
        for number, owner in enumerate(owners)
    ]
    run.trace(1).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_each_owner_s_joules_are_apart(tmp_path: Path) -> None:
    ledger = Ledger(run_of(tmp_path, ["host", "run", "spare"]))
    assert ledger.outer.energy_j == pytest.approx(1000)
    assert ledger.beside("spare") == pytest.approx(300)
    assert ledger.beside("host") == pytest.approx(2500)
    assert [sensor.device for sensor in ledger.sensors] == ["run-device"]


def test_nothing_beside_is_not_zero(tmp_path: Path) -> None:
    ledger = Ledger(run_of(tmp_path, ["run"]))
    assert ledger.outer.energy_j == pytest.approx(1000)
    assert ledger.beside("spare") is None
    assert ledger.beside("host") is None
