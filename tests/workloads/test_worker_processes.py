"""Worker processes end with the process that trains, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests import prepared
from tests.conftest import REPOSITORY

TRAIN = """
import multiprocessing, sys, time

def train(how):
    import torch, psutil
    from harness.settings.settings import Training, WorkloadChoice
    from harness.workloads.workload import open_workload
    choice = WorkloadChoice(data="digits", model="vgg_small", input="loader", workers=2)
    train = open_workload(choice, Training(), torch.device("cpu")).train
    batches = iter(train.epoch(64, seed=0))
    next(batches)
    children = [child.pid for child in psutil.Process().children(recursive=True)]
    print(psutil.Process().pid, *children, flush=True)
    if how == "wait":
        time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=train, args=(sys.argv[1],))
    process.start()
    process.join()
    print("code", process.exitcode)
"""


def start(tmp_path: Path, how: str) -> tuple[subprocess.Popen[str], int, list[int]]:
    """A process that trains as a run does: forked from a server; its number and its workers'."""
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    process = subprocess.Popen(
        [prepared.python(), str(script), how],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    trainer, *workers = map(int, process.stdout.readline().split())
    assert len(workers) == 2
    return process, trainer, workers


def alive(process_ids: list[int]) -> list[int]:
    def runs(process_id: int) -> bool:
        try:
            return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [process_id for process_id in process_ids if runs(process_id)]


def wait_for_end(process_ids: list[int], patience_s: float) -> None:
    end = time.monotonic() + patience_s
    while alive(process_ids) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(process_ids) == []


def test_they_end_at_once_when_their_process_is_killed(tmp_path: Path) -> None:
    process, trainer, workers = start(tmp_path, "wait")
    assert alive(workers) == workers
    os.kill(trainer, signal.SIGKILL)
    wait_for_end(workers, patience_s=3)  # torch's own watch takes up to five seconds
    assert process.communicate(timeout=30)[0].strip() == "code -9"


def test_an_epoch_left_half_way_does_not_keep_its_process(tmp_path: Path) -> None:
    process, _, workers = start(tmp_path, "leave")
    assert process.communicate(timeout=30)[0].strip() == "code 0"
    wait_for_end(workers, patience_s=3)
