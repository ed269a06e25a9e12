"""The wheel alone is enough: it is run from another folder, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

WHERE = """
import harness, methods, reports
print(harness.__path__[0], methods.__path__[0], reports.__path__[0])
"""
WORDS = ("dense", "early_bird", "--seed", "0", "--set", "training.epochs=1")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would put into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def test_it_runs_the_built_in_study_elsewhere(unpacked: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(unpacked), "COLUMNS": "100"}
    found = subprocess.run(
        [sys.executable, "-c", WHERE],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(path.startswith(str(unpacked)) for path in found.stdout.split()), found.stdout
    ended = subprocess.run(
        [sys.executable, "-m", "harness", *WORDS],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "early_bird" in ended.stdout
    assert (tmp_path / "results" / "quick" / "report" / "index.html").exists()


def test_it_has_what_pip_promises(unpacked: Path) -> None:
    [info] = unpacked.glob("*.dist-info")
    assert "energy-harness = harness.cli.main:main" in (info / "entry_points.txt").read_text()
    assert (unpacked / "harness" / "py.typed").exists()
    assert not (unpacked / "tests").exists()
