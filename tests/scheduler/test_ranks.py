"""One run in two processes, by torchrun's agent over gloo: the same run, and its energy once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import harness as public
from harness.results.final_test import final_test
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.scheduler.run_process import TIMEOUT_S
from harness.training.checkpoint import Checkpoint
from harness.training.loop import measured
from harness.training.state import TrainingState
from harness.workloads.workload import open_workload
from tests.fakes.stand_in import StandIn
from tests.scheduler.started import (
    called,
    killed,
    nothing_left,
    runs_of,
    started,
    trainer_of,
    wait_until,
)

METHODS = ("dense", "early_bird", "lottery_ticket", "progressive")
"""The last two with `--torture` alone."""
SHORT = ("--seed", "0", "--set", "training.epochs=2", "--no-report")
TWO = ("--set", "engine.gpus_per_run=2")
FEW = ("--set", "workload.train_samples=480")
POWER_W = 200.0


@pytest.fixture(scope="module")
def by_one_and_two(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Path, Path]:
    one, two = (tmp_path_factory.mktemp("ranks") / name for name in ("one", "two"))
    methods = METHODS if request.config.getoption("--torture") else METHODS[:2]
    assert called(*methods, *SHORT, "--out", str(one)).returncode == 0
    ended = called(*methods, *SHORT, *TWO, "--out", str(two))
    assert ended.returncode == 0, ended.stderr
    return one, two


@pytest.mark.torture
def test_all_methods_end_as_with_one_process(by_one_and_two: tuple[Path, Path]) -> None:
    one, two = (public.load(out).set_index("method").sort_index() for out in by_one_and_two)
    assert list(two["status"]) == ["done"] * len(one)
    assert list(two["attempts"]) == [1] * len(one)
    for column in ("epochs_trained", "test_samples"):
        assert list(two[column]) == list(one[column]), column
    # Sums of gradients are rounded otherwise, so that a channel on the threshold may change sides.
    assert list(two["macs"]) == pytest.approx(list(one["macs"]), rel=0.2)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("method", ["dense", "early_bird"])
def test_each_test_sample_is_recorded_in_the_order_of_the_test_set(
    by_one_and_two: tuple[Path, Path], method: str, processes: int
) -> None:
    """Against the final weights on the whole test set in one piece."""
    out = by_one_and_two[processes - 1]
    run = runs_of(out)[_name(out, method)]
    spec = run.read_spec()
    device = torch.device("cpu")
    workload = open_workload(spec.workload, spec.training, device)
    state = TrainingState(workload, spec.training, spec.seed, run.snapshot)
    end = Checkpoint.load(run.checkpoint, device)
    assert end is not None
    state.load_state_dict(end.state)
    [expected] = measured(state, workload.test, spec.training, workload.task.scores)
    found = final_test(Journal(run))
    assert found is not None
    assert found.bits is not None
    bits = np.unpackbits(np.frombuffer(found.bits, dtype=np.uint8), count=found.samples)
    assert 0 < bits.sum() < found.samples == len(workload.test)
    np.testing.assert_array_equal(bits, expected.numpy())


@pytest.mark.torture
def test_the_first_epoch_is_that_of_one_process_but_for_the_order_of_sums(
    by_one_and_two: tuple[Path, Path],
) -> None:
    first, second = by_one_and_two
    for name, run in runs_of(first).items():
        one, two = (
            Journal(each).events("epoch")[0]["loss"] for each in (run, runs_of(second)[name])
        )
        # 20 steps at a high rate: rounding grows about a thousandfold, a wrong gradient far more.
        assert two == pytest.approx(one, rel=1e-2), name
        assert two != one, f"{name}: so exact that the work was not shared"


def test_what_is_pruned_is_reported_once(by_one_and_two: tuple[Path, Path]) -> None:
    _, two = by_one_and_two
    run = runs_of(two)[_name(two, "early_bird")]
    journal = Journal(run)
    assert journal.attempts[0].events[0]["processes"] == 2
    assert len(journal.events("result")) == 1
    numbers = [event["number"] for event in journal.events("checkpoint")]
    assert numbers == list(range(1, len(numbers) + 1))


def _name(out: Path, method: str) -> str:
    return next(name for name in runs_of(out) if name.split("/")[0].startswith(method))


def _second_rank(out: Path) -> int:
    first = psutil.Process(trainer_of(out))
    agent = first.parent()
    assert agent is not None
    [other] = [child for child in agent.children() if child.pid != first.pid]
    return other.pid


def _ended_s_ago(run: RunFolder) -> float:
    """Time since a run's last event; its processes are killed after `TIMEOUT_S` of it."""
    return (time.monotonic_ns() - Journal(run).attempts[-1].events[-1]["time_ns"]) * 1e-9


def _has_saved(out: Path) -> bool:
    return any(Journal(run).events("checkpoint") for run in runs_of(out).values())


def test_a_rank_that_is_killed_ends_the_run_which_goes_on_later(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("dense", "--seed", "0", "--no-report", "--out", str(out), *TWO, *FEW)
    words += ("--set", "training.epochs=16")
    first = started(tmp_path, *words)
    wait_until(lambda: _has_saved(out), "there is a checkpoint")
    with nothing_left(first, out):
        killed(_second_rank(out))
        output, _ = first.communicate(timeout=120)
    assert first.returncode == 3, output
    run = RunFolder(out / "runs" / "dense" / "seed-0")
    journal = Journal(run)
    assert (journal.status, journal.attempts[-1].has_ended) == ("interrupted", True)
    assert journal.reason == "one of its 2 processes was ended"
    assert _ended_s_ago(run) < TIMEOUT_S
    assert called(*words).returncode == 0
    attempts = Journal(run).attempts
    assert len(attempts) == 2
    assert attempts[1].restored > 0


def test_interrupted_all_ranks_leave(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("dense", "--seed", "0", "--no-report", "--out", str(out), *TWO, *FEW)
    first = started(tmp_path, *words, "--set", "training.epochs=300")
    wait_until(lambda: _has_saved(out), "there is a checkpoint")
    with nothing_left(first, out):
        first.send_signal(signal.SIGINT)
        first.communicate()
    assert first.returncode == 130
    [run] = runs_of(out).values()
    assert Journal(run).status == "interrupted"
    assert Journal(run).attempts[-1].has_ended
    assert _ended_s_ago(run) < TIMEOUT_S


def test_a_rank_that_raises_fails_the_run_and_says_which(tmp_path: Path) -> None:
    plugin = tmp_path / "faulty.py"
    plugin.write_text(FAULTY)
    out = tmp_path / "out"
    words = ("faulty", "--plugin", str(plugin), *SHORT, *TWO, *FEW, "--out", str(out))
    ended = called(*words)
    assert ended.returncode == 3
    assert "rank 1: ValueError: no more" in ended.stdout
    [run] = runs_of(out).values()
    assert _ended_s_ago(run) < TIMEOUT_S


FAULTY = '''
import os

from harness.method.base import Method
from harness.method.phases import Train


class Faulty(Method):
    """Goes wrong in one process."""

    def phases(self, budget):
        yield Train("train", epochs=1)
        if os.environ["RANK"] == "1":
            raise ValueError("no more")
        yield Train("train", epochs=1)
'''


@pytest.fixture
def boards(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A machine with two GPUs of known power."""
    (tmp_path / "driver").mkdir()
    machine = StandIn(tmp_path / "driver" / "state", power_w=[POWER_W, POWER_W])
    for name, value in machine.environment(library).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield machine
    machine.close()


@pytest.mark.usefixtures("boards")
def test_the_recorder_counts_the_node_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    alone = ("--set", "energy.gpus=all", "--set", "energy.idle_s=0", "--set", "energy.warm_up_s=0")
    first = started(tmp_path, "dense", *SHORT, *TWO, *FEW, *alone, "--out", str(out))
    output, _ = first.communicate()
    assert first.returncode == 0, output
    [run] = public.load(out).to_dict("records")
    assert run["energy_j"] == pytest.approx(2 * POWER_W * run["duration_s"], rel=0.02)


def test_what_is_simulated_in_one_process_is_refused_in_two(tmp_path: Path) -> None:
    words = ("dense", *SHORT, *TWO, "--set", "training.precision=int8_simulated")
    ended = called(*words, "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert "int8_simulated trains in one process; set engine.gpus_per_run = 1" in ended.stderr
