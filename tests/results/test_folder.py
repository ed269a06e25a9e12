"""A results folder belongs to one study, and to one harness at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.results.folder import StudyFolder
from tests.conftest import REPOSITORY

HOLD = """
import sys
from pathlib import Path
from harness.results.folder import StudyFolder
with StudyFolder(Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env={"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_harness_is_told_who_works_there(tmp_path: Path) -> None:
    other = holder(tmp_path)
    with (
        pytest.raises(UsageError, match=f"another harness works here: process {other.pid} on"),
        StudyFolder(tmp_path).hold(),
    ):
        pass
    other.communicate("", timeout=30)
    with StudyFolder(tmp_path).hold():
        pass


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    other = holder(tmp_path)
    other.kill()
    other.communicate(timeout=30)
    with StudyFolder(tmp_path).hold():
        pass
