"""A report needs the raw records alone: no torch, no GPU, not the machine they were made on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

RECORDS = REPOSITORY / "benchmarks" / "quick-cpu"
TRAINING_ONLY = ("torch", "torchvision", "torch_pruning", "sklearn")
# `None` in sys.modules makes an import fail as if the package were not installed.
COMMAND = f"""
import sys
sys.modules.update(dict.fromkeys({TRAINING_ONLY!r}))
from harness.cli.main import main
main()
"""


def report(folder: Path, hash_seed: int) -> str:
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMMAND, "report", str(folder)],
        check=False,
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same records in two places, each reported on by a process of its own."""
    folders = []
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"place-{number}") / "quick"
        shutil.copytree(RECORDS, folder)
        for derived in ("runs.csv", "runs.parquet"):
            (folder / derived).unlink(missing_ok=True)
        report(folder, hash_seed=number)
        folders.append(folder)
    return folders[0], folders[1]


def test_everything_is_derived_without_what_training_needs(twice: tuple[Path, Path]) -> None:
    folder, _ = twice
    for suffix in ("svg", "pdf", "png", "csv"):
        assert (folder / "report" / "figures" / f"score_energy.{suffix}").stat().st_size > 500
    for suffix in ("csv", "md", "tex"):
        assert (folder / "report" / "tables" / f"headline.{suffix}").exists()
    assert (folder / "report" / "index.html").exists()
    assert (folder / "runs.parquet").exists()


def test_the_same_records_give_the_same_bytes(twice: tuple[Path, Path]) -> None:
    first, second = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in (folder / "report").rglob("*")
            if path.is_file()
        }
        for folder in twice
    )
    assert len(first) > 20
    assert first.keys() == second.keys()
    assert [name for name, data in first.items() if data != second[name]] == []
