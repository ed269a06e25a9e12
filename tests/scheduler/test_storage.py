"""The disk is full, or the results are gone: work ends in order, with a sentence, and goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness as public
from harness.results.journal import Journal
from tests.scheduler.started import called, nothing_left, runs_of, started, wait_until

WORDS = (
    *("dense", "--seed", "0", "--set", "training.epochs=12"),
    *("--set", "workload.train_samples=480", "--no-report", "--out"),
)
DISK_MB = 24


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(place))
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all the room that is left."""
    filler = place / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return filler


def epochs(out: Path) -> int:
    return sum(len(Journal(folder).events("epoch")) for folder in runs_of(out).values())


def test_a_full_disk_ends_the_work_which_goes_on_where_there_is_room(
    disk: Path, tmp_path: Path
) -> None:
    out = disk / "out"
    orchestrator = started(tmp_path, *WORDS, str(out))
    wait_until(lambda: epochs(out) >= 2, "two epochs are done")
    with nothing_left(orchestrator, out):
        filler = fill(disk)
    output, _ = orchestrator.communicate()
    assert orchestrator.returncode == 3, output
    assert "No space left on device" in output
    assert "make room, then run the same command again" in output
    assert "Traceback" not in output
    filler.unlink()
    again = called(*WORDS, str(out))
    assert again.returncode == 0, again.stderr
    [row] = public.load(out).to_dict("records")
    assert (row["status"], row["attempts"]) == ("done", 2)
    assert row["epochs_trained"] == 12
    assert row["energy_j"] > row["lost_j"]


def test_results_that_vanish_end_the_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    orchestrator = started(tmp_path, *WORDS, str(out))
    wait_until(lambda: epochs(out) >= 2, "two epochs are done")
    with nothing_left(orchestrator, tmp_path / "elsewhere"):
        out.rename(tmp_path / "elsewhere")
        shutil.rmtree(tmp_path / "elsewhere")
    output, _ = orchestrator.communicate()
    assert orchestrator.returncode == 3, output
    assert "has vanished" in output
    assert "Traceback" not in output
