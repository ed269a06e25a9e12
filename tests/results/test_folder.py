"""What all runs of a results folder share is changed by one harness at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.results.folder import StudyFolder
from tests.conftest import REPOSITORY

ALONE = """
import sys
from pathlib import Path
from harness.results.folder import StudyFolder
with StudyFolder(Path(sys.argv[1])).alone():
    print("alone", flush=True)
    sys.stdin.read()
    print("over", flush=True)
"""


def other(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ALONE, str(path)],
        env={"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_who_wants_to_be_alone_waits_for_the_other(tmp_path: Path) -> None:
    first = other(tmp_path)
    assert first.stdout.readline() == "alone\n"
    second = other(tmp_path)
    output, _ = first.communicate("", timeout=30)
    assert output == "over\n"
    assert second.stdout.readline() == "alone\n"
    second.communicate("", timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_who_is_killed_keeps_none_waiting(tmp_path: Path) -> None:
    first = other(tmp_path)
    assert first.stdout.readline() == "alone\n"
    first.kill()
    first.communicate(timeout=30)
    with StudyFolder(tmp_path).alone():
        pass
