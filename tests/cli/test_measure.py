"""`measure` as a user calls it: whatever the command is, it runs as if alone, and is measured."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY, Harness
from tests.fakes.laptop import FakeBattery
from tests.fakes.plug import FakePlug
from tests.fakes.stand_in import LIBRARY, StandIn
from tests.scheduler.started import recorders_of

POWER_W = 200.0
DEVICE_KEYS = {
    "id",
    "name",
    "kind",
    "source",
    "energy_j",
    "uncertainty_j",
    "mean_power_w",
    "idle_energy_j",
}
Begin = Callable[..., subprocess.Popen[str]]
SLEEPER = "import sys, time; print('here', file=sys.stderr, flush=True); time.sleep(60)"


@pytest.fixture
def board(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A machine with one GPU of 200 W."""
    (tmp_path / "driver").mkdir()
    machine = StandIn(tmp_path / "driver" / "state", power_w=[POWER_W])
    for name, value in machine.environment(library).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield machine
    machine.close()


@pytest.fixture
def estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any sensor, even if this one has some."""
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / LIBRARY).touch()  # found first, and no library
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "driver"))
    monkeypatch.setenv("ENERGY_HARNESS_POWERCAP", str(tmp_path / "driver"))


def report_of(output: str) -> dict[str, Any]:
    """The one JSON object; NaN and infinities are none of its numbers."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(output, parse_constant=refuse)


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts `measure` around a sleeper, as a shell would; returns when the sleeper is there."""
    begun: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SLEEPER]
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", "measure", "--json", *options, "--", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        assert process.stderr.readline() == "here\n"
        return process

    yield start
    for process in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.usefixtures("estimated")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["no-such-command-anywhere"], 127),
        (["./no-program"], 126),
    ],
    ids=["0", "7", "killed", "not found", "not executable"],
)
def test_exit_code_is_the_commands(command, code, harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "no-program").touch()
    ended = harness("measure", "--json", "--", *command)
    assert ended.returncode == code
    report = report_of(ended.stdout)
    assert (report["exit_code"], report["command"]) == (code, command)
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("board")
def test_json_is_one_object_with_its_keys_and_stands_alone(harness: Harness, tmp_path) -> None:
    shout = "echo its output; echo its complaint >&2; sleep 1"
    ended = harness("measure", "--json", "--idle", "1", "--out", "kept", "--", "sh", "-c", shout)
    assert ended.stdout.count("\n") == 1
    report = report_of(ended.stdout)
    wanted = {"duration_s", "energy_j", "uncertainty_j", "co2e_kg", "coverage", "devices"}
    assert wanted <= report.keys()
    (device,) = report["devices"]
    assert device.keys() >= DEVICE_KEYS
    assert "its output\n" in ended.stderr
    assert "its complaint\n" in ended.stderr
    assert report_of((tmp_path / "kept" / "measurement.json").read_text()) == report
    assert (tmp_path / "kept" / "trace.jsonl").stat().st_size > 1000
    assert 1 <= report["duration_s"] < 3
    assert report["coverage"] == 1
    assert device["idle_energy_j"] == pytest.approx(POWER_W * report["duration_s"], rel=0.01)
    assert device["mean_power_w"] == pytest.approx(POWER_W, rel=0.01)


def test_known_joules_come_out_within_the_uncertainty(board, harness: Harness) -> None:
    load = "import time; time.sleep(1.3)"
    ended = harness("measure", "--json", "--idle", "0", "--", sys.executable, "-c", load)
    report = report_of(ended.stdout)
    true_j = POWER_W * report["duration_s"]
    assert true_j > 260
    parts = report["uncertainty_parts_j"]
    beside_gain_j = (report["uncertainty_j"] ** 2 - parts["gain"] ** 2) ** 0.5
    assert abs(report["energy_j"] - true_j) <= beside_gain_j < 0.02 * true_j
    assert report["co2e_kg"] > 0
    assert {report["source"], report["devices"][0]["source"]} == {"simulated"}
    assert report["devices"][0]["id"] == board.gpus[0].uuid


@pytest.mark.usefixtures("board")
def test_for_people_the_figure_goes_to_standard_error_and_says_simulated(harness) -> None:
    ended = harness("measure", "--idle", "0", "--", "echo", "its output")
    assert ended.stdout == "its output\n"
    assert "simulated" in ended.stderr
    assert "Stand-in GPU 0" in ended.stderr


@pytest.mark.usefixtures("estimated")
@pytest.mark.parametrize("dashes", [["--"], []], ids=["dashes", "no dashes"])
def test_arguments_arrive_as_they_are(dashes, harness: Harness, tmp_path: Path) -> None:
    words = ["--json", "--out", "elsewhere", "-h", "--idle=x", "--", "", "a b", "ü"]
    tell = f"import sys; assert sys.argv[1:] == {words!r}; print('arrived')"
    ended = harness("measure", *dashes, sys.executable, "-c", tell, *words)
    assert (ended.returncode, ended.stdout) == (0, "arrived\n")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("estimated")
def test_without_a_sensor_the_figure_is_called_an_estimate(harness: Harness) -> None:
    report = report_of(harness("measure", "--json", "--", "sleep", "0.2").stdout)
    assert report["source"] == "estimated"
    assert {device["source"] for device in report["devices"]} == {"estimated"}
    assert any(note.startswith("nvml: ") for note in report["notes"])


@pytest.mark.usefixtures("board")
def test_ctrl_c_gives_the_figure_up_to_then(begin: Begin) -> None:
    process = begin("--idle", "0", "--out", "kept")
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output, complaint = process.communicate(timeout=15)
    report = report_of(output)
    assert process.returncode == 128 + signal.SIGINT
    assert 0.5 <= report["duration_s"] < 10
    true_j = POWER_W * report["duration_s"]
    assert abs(report["energy_j"] - true_j) <= report["uncertainty_j"]
    assert report["coverage"] == 1
    assert "interrupted" not in complaint


@pytest.mark.usefixtures("estimated")
def test_who_asks_it_to_end_asks_the_command(begin: Begin) -> None:
    process = begin()
    process.terminate()
    output, _ = process.communicate(timeout=15)
    assert process.returncode == 128 + signal.SIGTERM
    assert report_of(output)["exit_code"] == 128 + signal.SIGTERM


@pytest.mark.usefixtures("board")
def test_nothing_is_left_running_or_lying_about(begin, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    process = begin("--idle", "0")
    started = psutil.Process(process.pid).children(recursive=True) + recorders_of(process.pid)
    assert len(started) == 2
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=15)
    assert not any(map(is_running, started))
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.usefixtures("board")
def test_recorder_ends_by_itself_when_measure_is_killed(begin, tmp_path: Path) -> None:
    process = begin("--idle", "0", "--out", "kept")
    header = (tmp_path / "kept" / "trace.jsonl").read_text().splitlines()[0]
    recorder = psutil.Process(json.loads(header)["recorder_pid"])
    assert is_running(recorder)
    process.kill()
    assert wait_for(lambda: not is_running(recorder))


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing argument"),
        (["--interval", "0", "--", "touch", "ran"], "--interval"),
        (["--country", "XXX", "--", "touch", "ran"], "CodeCarbon has no data for 'XXX'"),
        (["--out", "/proc/nowhere", "--", "touch", "ran"], "cannot write to /proc/nowhere"),
    ],
)
def test_wrong_input_is_reported_before_the_command_runs(words, message, harness, tmp_path) -> None:
    ended = harness("measure", *words)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def discharging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBattery:
    """A laptop that draws 12 W from its battery."""
    battery = FakeBattery(tmp_path / "sys", 12.0)
    battery.turn_to(0)
    monkeypatch.setenv("ENERGY_HARNESS_SYSFS", str(tmp_path / "sys"))
    return battery


@pytest.mark.usefixtures("discharging", "board")
@pytest.mark.parametrize("scope", ["parts", "machine"])
def test_the_machine_and_its_parts_are_never_in_one_sum(scope, harness) -> None:
    ended = harness("measure", "--json", "--idle", "0", "--scope", scope, "--", "sleep", "1.5")
    found = report_of(ended.stdout)
    power_w = {"machine": 12.0, "gpu": POWER_W}
    summed, beside = ("gpu", "machine") if scope == "parts" else ("machine", "gpu")
    for kind, devices in ((summed, found["devices"]), (beside, found["beside"])):
        [device] = devices if kind != "gpu" else [d for d in devices if d["kind"] == "gpu"]
        assert device["kind"] == kind
        assert device["mean_power_w"] == pytest.approx(power_w[kind], rel=0.1)
    assert found["energy_j"] == pytest.approx(power_w[summed] * found["duration_s"], rel=0.1)


@pytest.mark.usefixtures("estimated")
def test_without_a_meter_of_the_machine_nothing_is_run_and_the_reason_given(
    discharging: FakeBattery, harness: Harness, tmp_path: Path
) -> None:
    discharging.status = "Charging"
    discharging.turn_to(0)
    ended = harness("measure", "--scope", "machine", "--", "touch", str(tmp_path / "ran"))
    assert ended.returncode == 5
    assert "charger" in ended.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("estimated")
def test_a_plug_measures_the_whole_machine(harness: Harness, tmp_path: Path) -> None:
    with FakePlug("shelly2", power_w=60.0) as plug:
        plug.is_live = True
        words = (
            "--plug",
            plug.address,
            "--scope",
            "machine",
            "--idle",
            "0",
            "--out",
            str(tmp_path),
        )
        ended = harness("measure", "--json", *words, "--", "sleep", "4")
    found = report_of(ended.stdout)
    assert ended.returncode == 0
    [device] = found["devices"]
    assert (device["kind"], found["source"]) == ("machine", "counter")
    assert abs(found["energy_j"] - 60 * found["duration_s"]) < found["uncertainty_j"]
    lines = (tmp_path / "trace.jsonl").read_text().splitlines()
    assert 8 <= sum(line.startswith("[") for line in lines) < 40  # asked once a second, of two
    assert len(plug.asked) < 20


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("shely://192.168.1.20", "did you mean 'shelly'"),
        ("192.168.1.20", "no address"),
        ("shelly://me:secret@192.168.1.20", "ENERGY_HARNESS_PLUG_PASSWORD"),
        ("mqtt://broker", "topic"),
        ("mqtt://broker/tele/+/SENSOR", "topic of one plug"),
        ("mqtt://broker/tele/desk/SENSOR?every=x", "every=x"),
        ("tasmota://plug:port", "plug:port"),
    ],
)
def test_a_wrong_address_is_refused_before_the_command_runs(address, word, harness) -> None:
    ended = harness("measure", "--plug", address, "--", "true")
    assert ended.returncode == 2
    assert word in ended.stderr
    assert "secret" not in ended.stderr
