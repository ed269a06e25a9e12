"""Inferences are measured as training is: known power, known times, and a record that is safe."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.energy.sensors.base import MeterSetup
from harness.errors import UsageError
from harness.network import measuring
from harness.network.inferences import INFERENCES, Inferences, energy_of, read_inferences
from harness.network.measuring import (
    MIN_CALLS,
    Window,
    batch_of,
    largest_useful_batch,
    measure_inferences,
)
from harness.network.record import read_record
from harness.results.inference import inference_columns
from harness.results.schema import RUNS, unknown
from harness.settings.settings import EnergySettings
from tests.fakes.stand_in import StandIn
from tests.network.saved import saved
from tests.scheduler.started import Ended, called

POWER_W = 250.0


@pytest.fixture
def board(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A machine with one GPU of known power, for processes started from here."""
    machine = StandIn(tmp_path / "state", power_w=[POWER_W])
    for name, value in machine.environment(library).items():
        monkeypatch.setenv(name, value)
    yield machine
    machine.close()


def test_windows_are_within_a_percent_of_a_known_power(board: StandIn, tmp_path: Path) -> None:
    board.gpus[0].counter_update_ms = 20
    setup = MeterSetup(os.getpid(), None, 0.0, "")
    settings = EnergySettings(meters=("nvml",), idle_s=0)
    trace = tmp_path / "inference-trace-0.jsonl"

    def infer(inputs: Tensor) -> Tensor:
        time.sleep(2e-3 * len(inputs))
        return inputs

    windows = measure_inferences(infer, torch.zeros(3, 2), (1, 8), 0.6, trace, settings, setup)
    records = [record(window, trace.name) for window in windows]
    for window, found in zip(records, energy_of(records, tmp_path), strict=True):
        truth_j = board.gpus[0].truth_j(window.start_ns, window.end_ns)
        assert found.joules.energy_j == pytest.approx(truth_j, rel=0.01)
        assert truth_j == pytest.approx(POWER_W * (window.end_ns - window.start_ns) * 1e-9)
    assert [window.batch for window in windows] == [1, 8]
    for window in windows:
        assert len(window.latencies_s) >= MIN_CALLS
        assert 2e-3 * window.batch <= window.median_s <= window.p99_s
        duration_s = (window.end_ns - window.start_ns) * 1e-9
        assert sum(window.latencies_s) == pytest.approx(duration_s, rel=0.01)
        assert duration_s >= 0.6


def record(window: Window, trace: str) -> Inferences:
    return Inferences(
        weights_sha256="",
        runtime="pytorch",
        device="cpu",
        threads=1,
        batch=window.batch,
        calls=len(window.latencies_s),
        latency_s=window.median_s,
        latency_p99_s=window.p99_s,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
        trace=trace,
    )


@pytest.mark.parametrize("count", [32, 100, 101, 1000])
def test_the_99th_percentile_is_what_99_percent_stay_within(count: int) -> None:
    taken = [float(number) for number in range(1, count + 1)]
    window = Window(1, 0, 1, tuple(reversed(taken)))
    within = sum(each <= window.p99_s for each in taken)
    assert within >= 0.99 * count > within - 1
    assert window.median_s == (count + 1) / 2


@pytest.mark.parametrize(
    ("per_call", "per_sample", "most", "best"),
    [
        (1.0, 0.0, None, 1024),  # as on a device that is never busy
        (1.0, 0.0, 64, 64),
        (0.0, 1.0, None, 1),  # nothing is shared among samples
        (1.0, 0.25, None, 64),
    ],
)
def test_a_batch_is_useful_while_doubling_it_saves_time(
    per_call: float, per_sample: float, most: int | None, best: int
) -> None:
    def calls(_infer: object, inputs: Tensor, *_: float) -> list[float]:
        return [per_call + per_sample * len(inputs)]

    found = largest_useful_batch(lambda x: x, torch.zeros(3, 2), most, calls=calls)
    assert found == best


def test_a_batch_that_does_not_fit_is_not_useful() -> None:
    def infer(inputs: Tensor) -> Tensor:
        if len(inputs) > 4:
            raise UsageError("out of memory")
        return inputs

    calls = lambda _infer, inputs, *_: [1.0]  # noqa: E731, ARG005
    assert largest_useful_batch(infer, torch.zeros(3, 2), None, calls=calls) == 4


def test_inputs_are_repeated_for_a_larger_batch() -> None:
    inputs = torch.arange(3.0).view(3, 1)
    assert batch_of(inputs, 7).flatten().tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert batch_of(inputs, 2).flatten().tolist() == [0, 1]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter trials and warm-up."""
    monkeypatch.setattr(measuring, "WARM_UP_S", 0.05)
    monkeypatch.setattr(measuring, "TRIAL_S", 0.01)


def measured(folder: Path, *words: str) -> Ended:
    return called("inference", str(folder), "--seconds", "0.1", *words)


@pytest.mark.usefixtures("quick")
def test_results_lie_beside_the_run_and_in_its_row(tmp_path: Path) -> None:
    saved(tmp_path, "vgg_small")
    ended = measured(tmp_path, "--batch", "4", "--batch", "1", "--json")
    assert ended.returncode == 0, ended.stderr
    [report] = json.loads(ended.stdout)
    assert [each["batch"] for each in report["windows"]] == [4, 1]
    assert [each.batch for each in read_inferences(tmp_path)] == [4, 1]
    row = inference_columns(tmp_path)
    alone = report["windows"][1]
    for key in ("inference_j", "inference_uncertainty_j", "latency_s", "latency_p99_s"):
        assert row[key] == pytest.approx(alone[key])
    assert row["inference_j"] > 0
    assert (row["inference_batch"], row["inference_threads"]) == (1, 1)
    assert (row["inference_runtime"], row["inference_device"]) == ("pytorch", "cpu")
    # The newest measurement counts, and only of the network that is there.
    again = measured(tmp_path, "--batch", "2")
    assert again.returncode == 0, again.stderr
    assert "mJ a sample" in again.stdout
    assert inference_columns(tmp_path)["inference_batch"] == 2
    assert {each.trace for each in read_inferences(tmp_path)} == {
        "inference-trace-0.jsonl",
        "inference-trace-1.jsonl",
    }
    saved(tmp_path, "vgg_small", task="another")
    assert inference_columns(tmp_path)["inference_batch"] == 2
    saved(tmp_path, "resnet20")
    assert is_unknown(inference_columns(tmp_path))


def is_unknown(row: dict[str, Any]) -> bool:
    """Whether nothing is known of a run's inferences, as of a run that cannot be read."""
    assert row.keys() <= unknown(RUNS).keys()
    return str(row) == str({key: unknown(RUNS)[key] for key in row})


def line(folder: Path, **changes: Any) -> dict[str, Any]:
    base = record(Window(1, 0, 10, (1e-9,) * 3), "inference-trace-0.jsonl")
    own = {"weights_sha256": read_record(folder).weights_sha256}
    return base.model_dump(mode="json") | own | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"trace": "../../inference-trace-0.jsonl"},
        {"trace": "/etc/passwd"},
        {"trace": "inference-trace-0.jsonl/../x"},
        {"runtime": "mine"},
        {"batch": 0},
        {"calls": -1},
        {"latency_s": "nan"},
        {"start_ns": "soon"},
    ],
)
def test_a_record_that_is_none_is_left_out(changes: dict[str, Any], tmp_path: Path) -> None:
    saved(tmp_path, "vgg_small")
    (tmp_path / INFERENCES).write_text(f"{json.dumps(line(tmp_path, **changes))}\n[]\n{{\n")
    assert read_inferences(tmp_path) == []
    assert is_unknown(inference_columns(tmp_path))


def test_without_its_trace_the_energy_is_unknown(tmp_path: Path) -> None:
    saved(tmp_path, "vgg_small")
    (tmp_path / INFERENCES).write_text(json.dumps(line(tmp_path)) + "\n")
    row = inference_columns(tmp_path)
    assert row["inference_j"] != row["inference_j"]
    assert row["inference_source"] == "none"
    assert row["latency_s"] == 1e-9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runtime", "executorch", "--batch", "65"], "takes up to 64 samples"),
        (["--device", "cuda"], "torch sees none here"),
        (["--runtime", "onnxruntime", "--device", "cuda"], "runs on the CPU only here"),
        (["--threads", "0"], "0 is not in the range"),
        (["--runtime", "onnx"], "is not one of"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.utils.packages._is_there", lambda _: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("harness.network.formats.onnx_file.write", lambda *_: None)
    saved(tmp_path, "vgg_small")
    ended = measured(tmp_path, *words)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert not (tmp_path / INFERENCES).exists()


def test_a_results_folder_without_networks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    ended = measured(tmp_path)
    assert ended.returncode == 2
    assert "no run there has left a network" in ended.stderr
