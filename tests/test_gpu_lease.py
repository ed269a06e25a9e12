"""Two runs never share a GPU unless asked to; what a killed one leased is free at once."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import MeasurementError
from harness.utils.gpu_lock import PLACE, lease
from tests.conftest import REPOSITORY

GPU = "GPU-1"
LEASE = """
import sys
from harness.utils.gpu_lock import lease
with lease(["GPU-1"], share=sys.argv[1] == "share"):
    print("leased", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path / PLACE
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def other(tmp_path: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", LEASE, how],
        env={"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "leased\n"
    return process


@pytest.mark.parametrize(("theirs", "mine"), [("alone", False), ("alone", True), ("share", False)])
def test_a_gpu_that_is_used_is_refused(theirs: str, mine: bool, tmp_path: Path) -> None:
    first = other(tmp_path, theirs)
    who = f"{GPU} is used by another run: process {first.pid} on {platform.node()} since 20"
    with pytest.raises(MeasurementError, match=who), lease([GPU], share=mine):
        pass
    with lease(["GPU-2"], share=mine) as others:
        assert others == ()
    first.communicate("", timeout=30)
    with lease([GPU], share=mine) as others:
        assert others == ()


def test_who_shares_knows_with_whom(tmp_path: Path) -> None:
    first, second = other(tmp_path, "share"), other(tmp_path, "share")
    with lease([GPU], share=True) as others:
        assert len(others) == 2
        found = [f"{GPU} is shared with process {p.pid} on" for p in (first, second)]
        assert all(any(start in text for text in others) for start in found)
    for process in (first, second):
        process.communicate("", timeout=30)


def test_what_a_killed_process_leased_is_free(tmp_path: Path) -> None:
    first = other(tmp_path, "alone")
    first.kill()
    first.communicate(timeout=30)
    with lease([GPU], share=False) as others:
        assert others == ()


def test_of_two_gpus_none_is_kept_if_one_is_refused(tmp_path: Path) -> None:
    first = other(tmp_path, "alone")
    with pytest.raises(MeasurementError), lease(["GPU-0", GPU], share=False):
        pass
    with lease(["GPU-0"], share=False) as others:
        assert others == ()
    first.communicate("", timeout=30)


def test_where_nothing_can_be_written_it_is_reported_and_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not-there"))
    with lease([GPU], share=False) as others:
        [text] = others
    assert text.startswith(
        f"cannot determine whether other runs use {GPU} (No such file or directory"
    )


def test_a_link_that_stands_in_the_place_of_the_folder_is_not_followed(place: Path) -> None:
    elsewhere = place.parent / "elsewhere"
    elsewhere.mkdir()
    place.symlink_to(elsewhere)
    with lease([GPU], share=False) as others:
        [text] = others
    assert "cannot determine whether" in text
    assert "(Not a directory" in text
    assert list(elsewhere.iterdir()) == []


def test_others_may_add_to_the_folders_and_read_who_holds_a_gpu(place: Path) -> None:
    before = os.umask(0o077)
    try:
        with lease([GPU], share=False):
            [file] = (place / GPU).iterdir()
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (place, place / GPU, file)]
    finally:
        os.umask(before)
    assert modes == [0o1777, 0o1777, 0o644]
