"""Runs read by several processes: the same rows in the same order, and no trace of them after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import UsageError
from harness.results import gather as module
from harness.results.carbon import StudyCarbon
from harness.results.folder import StudyFolder
from harness.results.gather import Job, gather
from harness.results.rows import read_run
from harness.results.run_energy import Ledger
from harness.settings.run_spec import short_labels_of
from tests.conftest import REPOSITORY

STUDY = REPOSITORY / "benchmarks" / "quick-cpu"
SCRIPT = """
import os, sys
from pathlib import Path
from harness.results import gather as module

module.WORTH_BYTES = 0
module._usable_cpus = lambda: 2
"""


@pytest.fixture
def jobs() -> list[Job]:
    """The runs of the published study."""
    runs = StudyFolder(STUDY).runs()
    specs = [run.read_spec() for run in runs]
    return list(zip(runs, specs, short_labels_of(specs), strict=True))


@pytest.fixture
def carbon() -> StudyCarbon:
    return StudyCarbon(StudyFolder(STUDY))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes, however little there is to read and however few CPUs there are."""
    monkeypatch.setattr(module, "WORTH_BYTES", 0)
    monkeypatch.setattr(module, "_usable_cpus", lambda: 3)


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "harness.results.reader" in " ".join(child.cmdline())]


@pytest.mark.usefixtures("pool")
def test_several_processes_give_the_rows_of_one_in_the_order_asked_for(
    jobs: list[Job], carbon: StudyCarbon, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = [*jobs[::-1], *jobs]
    expected = [read_run(*job, carbon) for job in mixed]
    monkeypatch.setattr(module, "read_run", None)  # so that this process reads none
    assert repr(gather(mixed, carbon)) == repr(expected)
    assert children() == []


def test_little_is_read_here(
    jobs: list[Job], carbon: StudyCarbon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_readers", None)
    assert len(gather(jobs, carbon)) == len(jobs)
    assert gather([], carbon) == []


class Refusing(StudyCarbon):
    """Has something against some runs."""

    def __init__(self, against: dict[str, type[Exception]], slow: str = "") -> None:
        super().__init__(StudyFolder(STUDY))
        self._against = against
        self._slow = slow

    def here(self, ledger: Ledger) -> Any:
        method = ledger.journal.events("answer")[0]["description"]["name"]
        if method == self._slow:
            time.sleep(0.3)
        if method in self._against:
            raise self._against[method](f"{method}: damaged")
        return super().here(ledger)


@pytest.mark.usefixtures("pool")
def test_of_several_failures_the_first_run_s_arrives_as_itself(jobs: list[Job]) -> None:
    """Though it comes last: the others fail while it is still being read."""
    refusing = Refusing({"train": UsageError, "level 0": KeyError}, slow="train")
    with pytest.raises(UsageError, match=r"^train: damaged$") as caught:
        gather(jobs, refusing)
    assert not hasattr(caught.value, "__notes__")
    assert children() == []


@pytest.mark.usefixtures("pool")
def test_a_fault_of_ours_shows_where_it_was(jobs: list[Job]) -> None:
    with pytest.raises(KeyError) as caught:
        gather(jobs, Refusing({"level 0": KeyError}))
    (note,) = caught.value.__notes__
    assert "in here" in note


class Dying(StudyCarbon):
    """Ends the process that uses it."""

    def here(self, ledger: Ledger) -> Any:
        del ledger
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("pool")
def test_a_process_that_dies_is_reported(jobs: list[Job]) -> None:
    with pytest.raises(RuntimeError, match="a process that reads runs died"):
        gather(jobs, Dying(StudyFolder(STUDY)))
    assert children() == []


def script(code: str, tmp_path: Path, **more: Any) -> subprocess.Popen[str]:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT + code)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "harness.py").write_text("raise ImportError('by chance of that name')")
    return subprocess.Popen(
        [sys.executable, str(file), str(STUDY)],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_a_script_without_a_guard_loads_a_study_once(tmp_path: Path) -> None:
    """What multiprocessing would run again in every process it spawns."""
    load = "import harness\nprint(len(harness.load(sys.argv[1])))"
    output, complaints = script(load, tmp_path).communicate(timeout=60)
    assert (output, complaints) == ("12\n", "")


ENDLESS = """
from itertools import chain, repeat
from harness.results.carbon import StudyCarbon
from harness.results.folder import StudyFolder
study = StudyFolder(Path(sys.argv[1]))
run = study.runs()[0]
print("reading", flush=True)
try:
    module.gather([(run, run.read_spec(), "x")] * 100_000, StudyCarbon(study))
except KeyboardInterrupt:
    print("interrupted")
"""


def started(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that it reads runs with, once they are at it."""
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = psutil.Process(process.pid).children()
        if len(found) == 2 and all(sum(each.cpu_times()[:2]) > 0.5 for each in found):
            return found
        time.sleep(0.02)
    raise AssertionError("no processes were started")


def test_ctrl_c_ends_all_of_it_without_a_word_of_theirs(tmp_path: Path) -> None:
    process = script(ENDLESS, tmp_path, start_new_session=True)
    readers = started(process)
    os.killpg(process.pid, signal.SIGINT)
    output, complaints = process.communicate(timeout=30)
    assert (output, complaints) == ("interrupted\n", "")
    assert psutil.wait_procs(readers, timeout=5)[1] == []


def test_processes_end_with_the_one_they_read_for(tmp_path: Path) -> None:
    process = script(ENDLESS, tmp_path)
    readers = started(process)
    process.kill()
    assert process.communicate(timeout=30)[1] == ""
    assert psutil.wait_procs(readers, timeout=10)[1] == []


def test_reading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from harness.results.folder import StudyFolder\n"
        "from harness.results.carbon import StudyCarbon\n"
        "import harness.results.reader as reader\n"
        f"study = StudyFolder(Path({str(STUDY)!r})); carbon = StudyCarbon(study)\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'codecarbon'}\n"
        "before = heavy & set(sys.modules)\n"
        "for run in study.runs(): reader.read_run(run, run.read_spec(), '', carbon)\n"
        "print(sorted((heavy & set(sys.modules)) - before), 'torch' in before)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "[] False\n"
