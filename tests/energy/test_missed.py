"""What the sensors of a machine's parts miss of it, by a meter of the whole beside them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import whole_machine
from harness.energy.integration.curve import Joules
from harness.energy.missed import missed
from harness.energy.sensors import sysfs
from harness.energy.sensors.base import Sensor
from harness.energy.sensors.rapl import ELSEWHERE
from harness.energy.trace import Trace
from harness.energy.window_energy import measured
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.table import Tables
from harness.runner import attempt as training
from harness.utils.jsonl import LogWriter
from reports.data import study_results
from reports.text.measurement import facts
from tests.energy.traces import SECOND, header, readings
from tests.results.test_resume import SPECS, start

CPU = Sensor("package-0", "package-0", "cpu", "energy", "counter", 0.05, 1e-6, update_s=0.001)
PLUG = replace(
    CPU, device="plug", name="plug", kind="machine", relative_uncertainty=0.03, owner="machine"
)
MODEL = replace(CPU, device="cpu:model", source="estimated", relative_uncertainty=2.0)
CPU_W, WHOLE_W = 30.0, 50.0


def joules(energy_j: float, gain: float = 0.05, coverage: float = 1.0) -> Joules:
    return Joules(energy_j, gain * energy_j, 0.0, 0.0, 0.0, coverage)


def test_the_share_and_its_uncertainty_by_hand() -> None:
    found = missed([("cpu", False, joules(20)), ("gpu", False, joules(40)), (*_whole(100),)])
    assert found
    assert found.share == pytest.approx(0.4)
    assert (found.parts_j, found.machine_j) == (60, 100)
    assert found.uncertainty == pytest.approx(0.6 * np.hypot(0.05, 0.05))


def _whole(energy_j: float, coverage: float = 1.0) -> tuple[str, bool, Joules]:
    return "machine", False, joules(energy_j, coverage=coverage)


@pytest.mark.parametrize(
    "drawn",
    [
        [],
        [("cpu", False, joules(20))],
        [_whole(100)],
        [("cpu", True, joules(20)), _whole(100)],
        [("cpu", False, joules(20)), ("machine", True, joules(100))],
        [("cpu", False, joules(20, coverage=0.9)), _whole(100)],
        [("cpu", False, joules(20)), _whole(100, coverage=0.5)],
        [("cpu", False, joules(20)), _whole(0)],
    ],
)
def test_without_both_throughout_nothing_is_compared(drawn) -> None:
    assert missed(drawn) is None


def test_the_uncertainty_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        parts_j, whole_j = (
            60 * (1 + 0.05 / 1.96 * rng.normal()),
            100 * (1 + 0.05 / 1.96 * rng.normal()),
        )
        found = missed([("cpu", False, joules(parts_j)), _whole(whole_j)])
        assert found
        held += abs(found.share - 0.4) <= found.uncertainty
    assert 0.92 <= held / 400 <= 0.98


def recorded(end_s: float, *sensors: Sensor) -> Trace:
    """Constant power on every sensor."""
    at_s = np.arange(0, end_s, 0.05)
    powers_w = {"cpu": CPU_W, "machine": WHOLE_W}
    return Trace(
        readings=tuple(readings(at_s.tolist(), at_s * powers_w[s.kind], s) for s in sensors),
        period_s=0.05,
    )


@pytest.mark.parametrize("scope", ["parts", "machine"])
def test_a_measurement_says_it_whichever_of_the_two_is_its_sum(scope) -> None:
    cpu, plug = (CPU, PLUG) if scope == "parts" else (replace(CPU, owner="part"), PLUG)
    plug = replace(plug, owner="machine" if scope == "parts" else "run")
    found = measured(recorded(10, cpu, plug), SECOND, 9 * SECOND)
    assert found.joules.energy_j == pytest.approx(8 * (CPU_W if scope == "parts" else WHOLE_W))
    assert found.missed
    assert found.missed.share == pytest.approx(1 - CPU_W / WHOLE_W)
    assert measured(recorded(10, MODEL, plug), SECOND, 9 * SECOND).missed is None


def run(folder: RunFolder, *sensors: Sensor) -> None:
    """A run, and its trace of constant powers."""
    training.attempt(training.RunContext(SPECS[0], folder, torch.device("cpu")), lambda: None)
    attempts = Journal(folder).attempts
    events = attempts[-1].events
    first_ns, last_ns = events[0]["time_ns"], events[-1]["time_ns"]
    log = LogWriter(folder.trace(len(attempts)))
    log.append(header(sensors))
    trace = recorded((last_ns - first_ns) * 1e-9 + 1, *sensors)
    for number, each in enumerate(trace.readings):
        for time_ns, value in zip(each.time_ns.tolist(), each.value.tolist(), strict=True):
            log.append([number, first_ns - SECOND // 10 + time_ns, value])
    log.close()


def test_a_report_shows_the_share_that_the_parts_miss(tmp_path: Path) -> None:
    folder = start(SPECS[0], tmp_path)
    run(folder, CPU, PLUG)
    tables = Tables(tmp_path)
    [row] = tables.runs.to_dict("records")
    assert row["missed_share"] == pytest.approx(1 - CPU_W / WHOLE_W, abs=1e-3)
    assert row["missed_share_uncertainty"] == pytest.approx(0.6 * np.hypot(0.05, 0.03), rel=0.05)
    shown = dict(facts(study_results(tables)))
    assert "40 ± 3.5 %" in shown["Energy of the machine that no measured part has"]


def test_the_benchmark_shows_it_by_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    windows = [("idle", SECOND, 4 * SECOND), ("2 busy threads", 5 * SECOND, 9 * SECOND)]
    monkeypatch.setattr(whole_machine, "record", lambda *_: (recorded(10, CPU, PLUG), windows))
    monkeypatch.setattr(sys, "argv", ["whole_machine", "--out", str(tmp_path / "out")])
    whole_machine.main()
    out = capsys.readouterr().out
    assert "2 busy threads | 50.00 | 30.00 | 40.0% ± 3.5%" in out
    saved = json.loads((tmp_path / "out" / "whole_machine.json").read_text())
    assert [row["load"] for row in saved["levels"]] == ["idle", "2 busy threads"]


def test_the_benchmark_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (ELSEWHERE, sysfs.ELSEWHERE):
        monkeypatch.setenv(variable, str(tmp_path))
    words = ["whole_machine", "--level-s", "0.2", "--settle-s", "0", "--", "true"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="no meter of the whole machine"):
        whole_machine.main()
