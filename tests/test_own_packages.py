"""A user's folder may hold a `methods` package and a `reports` module of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

METHOD = '''
from harness import Method, Train


class Mine(Method):
    """Train half as long."""

    def phases(self, budget):
        yield Train("train", epochs=max(budget.epochs // 2, 1))
'''


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder in which our names are taken."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/__init__.py").write_text("raise RuntimeError('the wrong methods')\n")
    (tmp_path / "methods/mine.py").write_text(METHOD)
    (tmp_path / "reports.py").write_text("raise RuntimeError('the wrong reports')\n")
    return tmp_path


@pytest.mark.usefixtures("crowded")
def test_methods_are_listed_and_planned(fresh_harness):
    listed = fresh_harness("methods")
    assert listed.returncode == 0, listed.stderr
    assert "early_bird" in listed.stdout
    planned = fresh_harness("plan", "quick")
    assert planned.returncode == 0, planned.stderr


def test_a_whole_run_and_its_report(crowded, fresh_harness):
    ran = fresh_harness(
        *("run", "dense", "mine", "--plugin", "methods/mine.py", "--seed", "0"),
        *("--set", "training.epochs=1", "--out", "here"),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (crowded / "here/report/index.html").is_file()
    status = fresh_harness("status", "here")
    assert status.returncode == 0
    assert "2 done" in status.stdout


def test_readers_find_our_packages(crowded):
    """Processes that read runs start in the user's folder, too."""
    script = (
        "import harness.results.reader, harness.utils.own_packages as own;"
        "own.prefer_own_packages(); import methods, reports;"
        "own.check_own(methods); own.check_own(reports)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=crowded, check=True)


def test_a_program_with_its_own_methods_is_asked_to_rename_them(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/__init__.py").touch()
    script = "import harness; harness.run('quick', 'dense', seeds=[0], out='here')"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "UsageError" in ran.stderr
    assert str(tmp_path / "methods") in ran.stderr
