"""What a job of a cluster starts on each of its nodes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.scheduler.slurm import RunJob

INTERPRETER = """#!{python}
import json, signal, sys
deaf = [signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGUSR1, signal.SIGUSR2)]
print(json.dumps([sys.argv[1:], deaf]), file=open({out!r}, "w"))
sys.exit({code})
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the interpreter that a job starts writes what it was called with."""
    return _interpreter(tmp_path, monkeypatch, 0)


def _interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> Path:
    out, program = tmp_path / "call.json", tmp_path / "python"
    program.write_text(INTERPRETER.format(python=sys.executable, out=str(out), code=code))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return out


def test_a_job_starts_the_worker_deaf_to_warnings(call: Path) -> None:
    RunJob(Path("run.json"), ("--shared-node",))()
    words, deaf = json.loads(call.read_text())
    assert words == ["-m", "harness", "worker", "run.json", "--shared-node"]
    assert deaf == [True, True]


def test_every_node_of_a_job_knows_its_rank_and_where_to_meet(
    call: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SUBMITIT_EXECUTOR": "slurm",
        "SLURM_JOB_ID": "12345",
        "SLURM_PROCID": "1",
        "SLURM_JOB_NODELIST": "gpu[03-04]",
    }.items():
        monkeypatch.setenv(name, value)
    RunJob(Path("run.json"), (), nodes=2)()
    words, _ = json.loads(call.read_text())
    assert words[3:] == ["run.json", "--node", "1/2", "--meet", "gpu03:22345"]


def test_a_run_that_is_not_done_makes_the_job_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interpreter(tmp_path, monkeypatch, 3)
    with pytest.raises(RuntimeError, match="ended with exit code 3"):
        RunJob(Path("run.json"), ())()
