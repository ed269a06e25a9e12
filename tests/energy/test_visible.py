"""Which GPUs count: those that CUDA_VISIBLE_DEVICES leaves to the command, however it names them.

Where other tools find nothing, all of the host, or another GPU than the one that was meant.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

import harness
from harness.energy.sensors.discover import VARIABLE, visible_gpus
from harness.errors import UsageError
from tests.conftest import Harness
from tests.fakes.rapl import FakeRapl
from tests.fakes.stand_in import StandIn

UUIDS = [
    "GPU-a1000000-0000-0000-0000-000000000000",
    "GPU-a2000000-0000-0000-0000-000000000000",
    "GPU-b3000000-0000-0000-0000-000000000000",
]
POWERS_W = [50.0, 150.0, 400.0]
SLICE = "MIG-00000000-0000-0000-0001-000000000001"
"""The second slice of the second board, as the stand-in names it."""


@pytest.fixture
def boards(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Three boards of three kinds, without CUDA, for this process and those that it starts."""
    folder = tmp_path / "driver"
    folder.mkdir()
    (folder / "libcuda.so.1").touch()  # found first, and no library
    machine = StandIn(folder / "state", power_w=POWERS_W, counter_supported=0)
    for gpu, uuid in zip(machine.gpus, UUIDS, strict=True):
        gpu.uuid = uuid
    for name, value in machine.environment(library).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{folder}:{os.environ['LD_LIBRARY_PATH']}")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    machine.load(library)
    pynvml.nvmlInit()
    yield machine
    pynvml.nvmlShutdown()
    machine.close()


@pytest.mark.usefixtures("boards")
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (UUIDS[1], [1]),
        ("GPU-a2", [1]),
        (f"{UUIDS[2]},{UUIDS[0]}", [2, 0]),
        (" GPU-b , GPU-a1 ", [2, 0]),
        ("GPU-a", []),  # two begin so
        ("2", [2]),
        ("2,0", [2, 0]),
        ("0,-1,1", [0]),  # what follows a wrong entry does not count
        ("0,7,1", [0]),
        ("0,GPU-c,1", [0]),
        ("-1", []),
        ("", []),
        ("GPU-c3000000-0000-0000-0000-000000000000", []),
        ("NoDevFiles", []),
        ("a1000000-0000-0000-0000-000000000000", []),
    ],
)
def test_entries_mean_what_cuda_takes_them_for(text, numbers, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert visible_gpus() == (tuple(UUIDS[number] for number in numbers), None)


def test_indices_of_unlike_boards_are_not_guessed(boards, monkeypatch) -> None:
    """CUDA puts the fastest first by default: which one that is, its driver alone knows."""
    monkeypatch.setenv(VARIABLE, "1")
    gpus, note = visible_gpus()
    assert gpus is None
    assert "CUDA_DEVICE_ORDER" in (note or "")
    for gpu in boards.gpus:
        gpu.name = "all the same"
    assert visible_gpus() == ((UUIDS[1],), None)
    monkeypatch.setenv(VARIABLE, "GPU-b3,GPU-a1")
    boards.gpus[0].name = "another"
    assert visible_gpus() == ((UUIDS[2], UUIDS[0]), None)


@pytest.mark.usefixtures("boards")
def test_a_cuda_that_does_not_answer_leaves_the_text(monkeypatch) -> None:
    def hang(*_: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("cuda", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    monkeypatch.setenv(VARIABLE, "GPU-b3")
    assert visible_gpus() == ((UUIDS[2],), None)


@pytest.mark.usefixtures("boards")
def test_a_block_says_that_it_reads_all_boards(monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    with harness.measure() as energy:
        pass
    assert energy.found is not None
    assert any("CUDA_DEVICE_ORDER" in note for note in energy.found.notes)


@pytest.mark.usefixtures("boards")
def test_without_the_variable_all_count(monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert visible_gpus() == (None, None)


@pytest.mark.parametrize("text", ["²", "0,٣", " ① "])
def test_digits_that_are_no_number_are_refused_before_anything_runs(
    text, monkeypatch, harness: Harness, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match="neither an index nor a UUID"):
        visible_gpus()
    if text == "²":
        ended = harness("measure", "--", "touch", "ran")
        assert ended.returncode == 2
        assert VARIABLE in ended.stderr
        assert not (tmp_path / "ran").exists()


def measured(harness: Harness, **environment: str) -> dict[str, Any]:
    ended = harness(
        "measure", "--json", "--idle", "0", "--", "sleep", "0.5", env={**os.environ, **environment}
    )
    assert ended.returncode == 0
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("environment", "numbers"),
    [
        ({VARIABLE: "GPU-b3"}, [2]),
        ({VARIABLE: "2,1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [2, 1]),
        ({VARIABLE: SLICE}, [1]),
        ({VARIABLE: "0"}, [0, 1, 2]),  # cannot be determined, see above
    ],
    ids=["abbreviated", "indices", "MIG", "unlike"],
)
def test_the_commands_gpus_count_and_no_others(environment, numbers, boards, harness) -> None:
    boards.gpus[1].mig = 1
    report = measured(harness, **environment)
    assert [device["id"] for device in report["devices"]] == [UUIDS[n] for n in numbers]
    true_j = sum(POWERS_W[n] for n in numbers) * report["duration_s"]
    assert report["energy_j"] == pytest.approx(true_j, rel=0.01)
    shared = [note for note in report["notes"] if "shared with other MIG slices" in note]
    assert len(shared) == (environment[VARIABLE] == SLICE)
    found = [note for note in report["notes"] if "CUDA_DEVICE_ORDER" in note]
    assert len(found) == (environment[VARIABLE] == "0")


@pytest.mark.usefixtures("boards")
@pytest.mark.parametrize("text", ["", "GPU-c3"])
def test_no_gpu_is_no_gpus_energy(text, harness, tmp_path: Path) -> None:
    none = {VARIABLE: text, "ENERGY_HARNESS_POWERCAP": str(tmp_path / "none")}
    report = measured(harness, **none)
    assert {device["kind"] for device in report["devices"]} == {"cpu", "dram"}
    assert report["source"] == "estimated"
    assert "nvml: the run uses no GPU" in report["notes"]


def test_index_ten_is_not_one(library: Path, tmp_path: Path, harness: Harness) -> None:
    powers_w = [10.0 * number for number in range(1, 13)]
    made = StandIn(tmp_path / "state", power_w=powers_w, counter_supported=0)
    environment = {VARIABLE: "10,11", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    report = measured(harness, **made.environment(library), **environment)
    made.close()
    assert [device["id"][-2:] for device in report["devices"]] == ["10", "11"]
    assert report["energy_j"] == pytest.approx(230 * report["duration_s"], rel=0.01)


@pytest.mark.usefixtures("no_driver")
def test_counters_of_cpus_that_wrap_on_the_way_and_their_dram(harness, tmp_path: Path) -> None:
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "dram"}
    powers_w = {"intel-rapl:0": 90.0, "intel-rapl:0:0": 30.0}
    rapl = FakeRapl(tmp_path / "powercap", zones, powers_w, range_uj=15_000_000)
    with rapl.turning():
        report = measured(harness, ENERGY_HARNESS_POWERCAP=str(rapl.path))
    assert report["source"] == "simulated"
    by_kind = {device["kind"]: device["mean_power_w"] for device in report["devices"]}
    assert by_kind == {"cpu": pytest.approx(90, rel=0.05), "dram": pytest.approx(30, rel=0.05)}
