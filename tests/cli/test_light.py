"""Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Harness

HEAVY = ("torch", "numpy", "pandas", "pyarrow", "matplotlib", "scipy", "sklearn", "codecarbon")
PROBE = """
import sys
from harness.cli.main import cli
try:
    cli.main({words!r}, standalone_mode=False)
except BaseException as ending:
    pass
print("HEAVY", sorted(set(sys.modules) & set({heavy!r})))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["report", "--help"],
        ["compare", "--help"],
        ["export", "--help"],
        ["merge", "--help"],
        ["plan", "--help"],
        ["status", "--help"],
        ["status", "results"],
        ["run", "--engine", "slurm", "earlybird"],
        ["merge", "results"],
        ["export", "results", "--to", "mlfow"],
        ["methods"],
        ["describe", "early_bird"],
        ["earlybird"],
        ["--set", "training.epocs=1"],
    ],
    ids=" ".join,
)
def test_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = PROBE.format(words=words, heavy=HEAVY)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "HEAVY []"


def test_help_names_the_commands_and_the_exit_codes(harness: Harness) -> None:
    ended = harness("--help")
    assert ended.returncode == 0
    for word in ("run", "methods", "describe", "report", "130 interrupted"):
        assert word in " ".join(ended.stdout.split())


def test_describe_says_what_a_method_takes(harness: Harness) -> None:
    told = harness("describe", "early_bird").stdout
    assert "prune_ratio = 0.5  (float, > 0, < 1)" in told
    assert "Share of the channels to drop (the paper: 0.3, 0.5, 0.7)." in told


def test_methods_lists_each_with_a_sentence(harness: Harness) -> None:
    lines = harness("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    assert any(line.startswith("dense ") and "whole budget" in line for line in lines)
