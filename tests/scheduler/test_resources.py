"""The places of a machine: which GPUs each run gets, and what belongs to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.energy.sensors import discover
from harness.errors import UsageError
from harness.runner.worker_main import Resources
from harness.scheduler.resources import divide_machine

GPUS = tuple(f"GPU-{number}" for number in range(4))


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.scheduler.resources.gpus_here", lambda: GPUS)


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.scheduler.resources.gpus_here", tuple)


@pytest.mark.usefixtures("four")
def test_one_at_a_time_leaves_the_choice_of_the_gpu_to_the_environment() -> None:
    assert divide_machine(1) == [Resources()]


@pytest.mark.usefixtures("four")
def test_every_run_has_a_gpu_of_its_own_and_shares_the_host() -> None:
    found = divide_machine(2)
    assert [resources.gpus for resources in found] == [GPUS[:1], GPUS[1:2]]
    assert not any(resources.own_host for resources in found)


@pytest.mark.usefixtures("four")
def test_gpus_of_a_node_that_is_taken_whole_are_spare() -> None:
    [resources] = divide_machine(1, exclusive=True)
    assert (resources.gpus, resources.spare_gpus, resources.own_host) == (GPUS[:1], GPUS[1:], True)


@pytest.mark.usefixtures("four")
def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="at_once = 5: there are 4 GPUs"):
        divide_machine(5)


def test_boards_that_may_be_others_are_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    unlike = [("GPU-0", "NVIDIA H100"), ("GPU-1", "NVIDIA A100"), ("GPU-2", "NVIDIA A100")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    monkeypatch.setattr(discover, "_uuids_from_cuda", lambda: None)
    monkeypatch.setattr(discover, "_board", lambda index: unlike[index])
    monkeypatch.setattr("pynvml.nvmlInit", lambda: None)
    monkeypatch.setattr("pynvml.nvmlDeviceGetCount", lambda: len(unlike))
    with pytest.raises(UsageError, match=r"cannot determine which .*set CUDA_DEVICE_ORDER"):
        divide_machine(2)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [each.gpus for each in divide_machine(2)] == [("GPU-1",), ("GPU-2",)]


@pytest.mark.usefixtures("none")
def test_without_gpus_runs_share_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    assert divide_machine(2) == [Resources(threads=4, own_host=False)] * 2


@pytest.mark.usefixtures("four")
def test_threads_that_were_asked_for_are_given_to_every_process() -> None:
    assert divide_machine(1).pop().one_if_small
    for resources in [
        *divide_machine(1, threads=3),
        *divide_machine(2, threads=3),
        *divide_machine(1, 2, threads=3),
    ]:
        assert (resources.threads, resources.one_if_small) == (3, False)


def test_the_gpus_are_found_by_uuid(library: Path, tmp_path: Path) -> None:
    from tests.fakes.stand_in import StandIn

    machine = StandIn(tmp_path / "state", gpus=2)
    asked = (
        "from harness.scheduler.resources import divide_machine\n"
        "print([resources.gpus for resources in divide_machine(2)])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, **machine.environment(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.count("GPU-") == 2
