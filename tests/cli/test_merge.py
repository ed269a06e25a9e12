"""`merge`, as a user calls it: then `report` takes the result like any other."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import REPOSITORY, Harness

QUICK = REPOSITORY / "benchmarks" / "quick-cpu"


def test_two_folders_become_one(harness: Harness, tmp_path: Path) -> None:
    for name, gone in (("a", "seed-0"), ("b", "seed-[1-9]*")):
        shutil.copytree(QUICK, tmp_path / name)
        for run in (tmp_path / name).glob(f"runs/*/{gone}"):
            shutil.rmtree(run)
    runs = len(list(QUICK.glob("runs/*/*")))
    ended = harness("merge", "a", "b", "-o", "both")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        f"{runs} runs from 2 folders are now in both\n"
        "to make tables and report: python -m harness report both\n"
    )
    reported = harness("report", "both")
    assert reported.returncode == 0, reported.stderr
    assert (tmp_path / "both" / "report" / "index.html").exists()


def test_what_cannot_be_merged_is_reported_in_a_line(harness: Harness, tmp_path: Path) -> None:
    ended = harness("merge", str(QUICK), str(tmp_path), "-o", "both")
    assert ended.returncode == 2
    assert ended.stderr == f"error: {tmp_path}: no results here (no study.json)\n"
    assert not (tmp_path / "both").exists()
    ended = harness("merge", str(QUICK), str(tmp_path))
    assert ended.returncode == 2
    assert "--out" in ended.stderr
