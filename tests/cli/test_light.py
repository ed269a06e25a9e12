"""Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cli.main import cli
from tests.conftest import REPOSITORY, Harness
from tests.scheduler.started import called

HEAVY = ("torch", "numpy", "pandas", "pyarrow", "matplotlib", "scipy", "sklearn", "codecarbon")
PROBE = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from harness.cli.main import cli
for words in json.load(sys.stdin):
    if os.fork() == 0:
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                cli.main(words, standalone_mode=False)
        except BaseException:
            pass
        print(json.dumps([" ".join(words), sorted(set(sys.modules) & set({heavy!r}))]), flush=True)
        os._exit(0)
    os.wait()
"""
"""Each command in a process forked from one that has imported the command line and no more."""


WRONG = {
    "run": ["earlybird"],
    "plan": ["--at-once", "0"],
    "status": ["nowhere"],
    "show": ["nowhere"],
    "worker": ["nowhere.json"],
    "methods": ["more"],
    "describe": ["earlybird"],
    "studies": ["more"],
    "init": ["--from", "quik"],
    "new-method": ["EarlyBird"],
    "check-method": ["nowhere.py"],
    "selftest": ["--jsn"],
    "completion": ["csh"],
    "claims": ["nowhere"],
    "report": ["nowhere"],
    "compare": ["nowhere"],
    "merge": ["nowhere"],
    "export": ["nowhere", "--to", "mlfow"],
    "export-network": ["nowhere", "--to", "onxx"],
    "inference": ["nowhere", "--threads", "0"],
    "figure": ["score_enrgy", "nowhere"],
    "measure": [],
    "doctor": ["--lod"],
}
"""One wrong use of each command."""


LIGHT = [
    ["--help"],
    *([name, "--help"] for name in WRONG),
    ["claims"],
    ["claims", "--json"],
    ["claims", "show", "early-bird-digits"],
    ["status", "results"],
    ["describe", "early_bird", "--json"],
    ["studies", "--json"],
    ["run", "--engine", "slurm", "earlybird"],
    ["merge", "results"],
    ["export", "results", "--to", "mlfow"],
    ["methods"],
    ["describe", "early_bird"],
    ["earlybird"],
    ["--set", "training.epocs=1"],
]


def heavy_imports(commands: list[list[str]], folder: Path) -> dict[str, list[str]]:
    """What each command imports of what is heavy."""
    ended = subprocess.run(
        [sys.executable, "-c", PROBE.format(heavy=HEAVY)],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in ended.stdout.splitlines())


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return heavy_imports([*LIGHT, ["plan", "quick"]], tmp_path_factory.mktemp("light"))


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_imports_nothing_heavy(words: list[str], heavy: dict[str, list[str]]) -> None:
    assert heavy[" ".join(words)] == []


def test_what_is_heavy_would_be_seen(heavy: dict[str, list[str]]) -> None:
    assert "numpy" in heavy["plan quick"]


WINDOWS = """
import os, signal, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # importing it raises ModuleNotFoundError
for module, names in (
    (os, "O_CLOEXEC O_DIRECTORY O_NOFOLLOW fork getuid pread pwrite sched_getaffinity"),
    (signal, "SIGALRM SIGKILL SIGHUP pthread_sigmask setitimer"),
):
    for name in names.split():
        delattr(module, name)
from pathlib import Path
from harness import load
from harness.cli import compare, report
from harness.cli.main import cli
from harness.results.folder import StudyFolder
study = Path(sys.argv[1])
cli.main(["status", str(study)], standalone_mode=False)
cli.main(["show", str(study / "runs" / "dense" / "seed-0")], standalone_mode=False)
with StudyFolder(study).alone():
    print(len(load(study)), "rows")
"""


def test_results_are_read_without_what_windows_lacks(tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(REPOSITORY / "benchmarks" / "quick-cpu", study)
    ended = subprocess.run(
        [sys.executable, "-c", WINDOWS, str(study)],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "12 runs: 12 done" in ended.stdout
    assert ended.stdout.endswith("12 rows\n")


def test_runs_on_windows_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.cli.run.os", SimpleNamespace(name="nt"))
    ended = called("run", "dense")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: runs need Linux or macOS")


@pytest.mark.parametrize("name", cli.commands)
def test_each_command_shows_how_it_is_used(name: str) -> None:
    ended = called(name, "--help")
    assert ended.returncode == 0
    assert "Example" in ended.stdout
    assert f"python -m harness {name}" in ended.stdout or name in ("run", "completion")


@pytest.mark.parametrize("name", cli.commands)
def test_a_wrong_use_of_each_command_says_what_is_wrong(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = called(name, *WRONG[name])
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_lists_are_there_for_scripts() -> None:
    methods, studies = (
        json.loads(called(name, "--json").stdout) for name in ("methods", "studies")
    )
    assert "whole budget" in methods["dense"]
    assert "quick" in studies
    document = json.loads(called("describe", "early_bird", "--json").stdout)
    assert document["hyperparameters"]["prune_ratio"]["default"] == 0.5
    assert document["hyperparameters"]["prune_ratio"]["kind"] == "float, > 0, < 1"


def test_help_names_the_commands_and_the_exit_codes(harness: Harness) -> None:
    ended = harness("--help")
    assert ended.returncode == 0
    for word in ("run", "methods", "describe", "report", "130 interrupted"):
        assert word in " ".join(ended.stdout.split())


def test_describe_says_what_a_method_takes(harness: Harness) -> None:
    output = harness("describe", "early_bird").stdout
    assert "prune_ratio = 0.5  (float, > 0, < 1)" in output
    assert "Share of the channels to drop (the paper: 0.3, 0.5, 0.7)." in output


def test_methods_lists_each_with_a_sentence(harness: Harness) -> None:
    lines = harness("methods").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    assert any(line.startswith("dense ") and "whole budget" in line for line in lines)


def test_a_report_imports_nothing_that_it_can_do_without(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from harness.results.table import Tables
from reports.statistics.summary import summarise
from reports.data import study_results
results = study_results(Tables(Path(sys.argv[1])))
assert len(summarise(results).challengers) == 3
print(sorted(set(sys.modules) & {"torch", "codecarbon", "requests", "scipy.optimize"}))
"""
    study = REPOSITORY / "benchmarks" / "quick-cpu"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(study)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "[]\n"


def test_a_recorder_that_only_estimates_needs_no_numpy(tmp_path: Path) -> None:
    """It starts with every run, beside it, and what it draws is the run's."""
    probe = """
import json, sys
from harness.energy.recorder.__main__ import record
with open(sys.argv[1]) as file:
    record(json.load(file))
print("numpy" in sys.modules)
"""
    config = {
        "trace": str(tmp_path / "trace.jsonl"),
        "meters": ["estimate"],
        "period_s": 0.05,
        "idle_s": 0.0,
        "cool_down_c": None,
        "borders": None,
        "continues": False,
        "setup": {"process_id": os.getpid(), "gpus": [], "watts_per_thread": 4.0, "watts_note": ""},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    ended = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path / "config.json")],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,  # its end is the recorder's
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "False"
