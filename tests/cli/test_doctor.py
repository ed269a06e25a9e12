"""`doctor`: every sensor as it is, what to do about the rest, and whether anything can measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.cli.doctor import other_work, other_work_lines, software_lines
from tests.conftest import Harness
from tests.fakes.plug import FakePlug
from tests.fakes.stand_in import StandIn


@pytest.fixture
def machine(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(tmp_path / "state", power_w=[80.0], noise=0.003)
    for name, value in made.environment(library).items():
        monkeypatch.setenv(name, value)
    return made


def examined(harness: Harness, *words: str) -> tuple[dict[str, Any], int]:
    ended = harness("doctor", "--json", *words)
    return json.loads(ended.stdout), ended.returncode


def sensor(report: dict[str, Any], quantity: str) -> dict[str, Any]:
    return next(s for s in report["sensors"] if s["quantity"] == quantity and s["kind"] == "gpu")


def test_it_measures_how_often_sensors_are_updated(machine: StandIn, harness: Harness) -> None:
    machine.gpus[0].power_update_ms = 20
    report, code = examined(harness)
    assert code == 0
    assert report["measurable"]
    assert sensor(report, "energy")["update_s"] == pytest.approx(0.1, rel=0.05)
    assert sensor(report, "power")["update_s"] == pytest.approx(0.02, rel=0.1)
    assert sensor(report, "energy")["source"] == "simulated"
    assert abs(sensor(report, "energy")["observer_loss"]) < 0.1
    assert 0 < sensor(report, "energy")["reading_s"] < 0.01


def test_it_finds_a_counter_that_reading_falsifies(machine: StandIn, harness: Harness) -> None:
    machine.gpus[0].read_cost_ms = 15
    report, code = examined(harness)
    assert code == 0
    assert sensor(report, "energy")["observer_loss"] > 0.7


def test_it_names_who_else_is_there_and_what_slows_the_card(
    machine: StandIn, harness: Harness
) -> None:
    machine.gpus[0].processes = {os.getpid(): 1 << 30}
    machine.gpus[0].throttle_reasons = 0x20
    output = harness("doctor").stdout
    assert f"other processes: {os.getpid()}" in output
    assert "throttled: thermal (software)" in output


@pytest.mark.parametrize(
    ("code", "helps"), [(9, "modprobe nvidia"), (18, "reboot"), (4, "/dev/nvidia")]
)
def test_a_driver_that_does_not_answer_comes_with_what_to_do(
    machine: StandIn, harness: Harness, code: int, helps: str
) -> None:
    machine.fault(code)
    ended = harness("doctor")
    assert helps in ended.stdout
    assert "nothing can be measured here" in ended.stdout
    assert ended.returncode == 5


def test_where_there_is_only_an_estimate_nothing_can_be_measured(
    harness: Harness, tmp_path: Path
) -> None:
    (tmp_path / "libnvidia-ml.so.1").touch()  # found first, and no library
    (tmp_path / "powercap").mkdir()
    ended = harness(
        "doctor",
        "--json",
        env={
            "LD_LIBRARY_PATH": str(tmp_path),
            "ENERGY_HARNESS_POWERCAP": str(tmp_path / "powercap"),
        },
    )
    report = json.loads(ended.stdout)
    assert ended.returncode == 5
    assert not report["measurable"]
    assert {s["source"] for s in report["sensors"]} == {"estimated"}
    assert any("--gpus all" in (each["do"] or "") for each in report["missing"])
    assert report["disk"]["free_bytes"] > 0
    assert report["disk"]["trace_bytes_a_day"] > 0
    assert report["clock"]["resolution_s"] < 1e-6


@pytest.mark.usefixtures("machine")
def test_a_load_that_nothing_can_carry_is_reported(harness: Harness) -> None:
    ended = harness("doctor", "--load", env={"CUDA_VISIBLE_DEVICES": ""})
    assert "no load: torch sees no GPU" in ended.stdout


def test_what_is_around_the_sensors_is_reported_too(
    machine: StandIn, harness: Harness, tmp_path: Path
) -> None:
    raw = tmp_path / "sets" / "cifar-10-batches-py"
    raw.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (raw / name).touch()
    report, _ = examined(harness, "--root", str(tmp_path / "sets"))
    assert report["software"]["torch"].split(".")[0] == "2"
    assert "error" not in report["software"]
    absent = {name for name, why in report["data"]["missing"].items() if why}
    assert {"digits", "cifar10"} & absent == set()
    assert {"cifar100", "imagenet"} <= absent
    assert 0 <= report["other_work"]["share"] <= 1
    output = harness("doctor").stdout
    assert f"{machine.gpus[0].uuid}: driver" in output
    # The stand-in is a driver's library alone: no torch sees its card, and that is reported.
    assert "sees no GPU (built" in output
    assert "install the torch that fits it" in output


def test_a_pair_that_does_not_fit_is_reported() -> None:
    [line] = software_lines(
        {"torch": "2.13.0", "cuda": None, "error": "operator torchvision::nms does not exist"}, 0
    )
    assert line.startswith("--  torch 2.13.0, torchvision None: operator torchvision::nms")
    assert "install a pair" in line
    [line] = software_lines({"error": "ModuleNotFoundError: No module named 'torch'"}, 1)
    assert "pip install torch torchvision" in line


def test_who_keeps_the_machine_busy_is_named() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        time.sleep(0.5)
        found = other_work()
        busy.kill()
    assert str(busy.pid) in found["processes"]
    [line] = other_work_lines({"share": 0.6, "processes": {"7": "python"}})
    assert "60% of the CPUs busy: python (7)" in line
    assert "end it" in line


def test_it_says_what_a_plug_can_tell(harness: Harness, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    with FakePlug("tasmota", power_w=60.0) as plug:
        plug.is_live = True
        report, code = examined(harness, "--plug", plug.address)
    assert code == 0
    [found] = report["resolved"]
    assert found["power_w"] == pytest.approx(60)
    assert 20 < found["window_s"] < 300
    plugged = [each for each in report["sensors"] if each["kind"] == "machine"]
    assert [each["quantity"] for each in plugged] == ["energy", "power"]
    assert len(plug.asked) < 12
