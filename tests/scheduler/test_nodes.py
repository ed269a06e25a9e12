"""One run on two nodes: two workers, recorders and clocks, one journal, and the sum of both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import harness as public
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from tests import prepared
from tests.conftest import REPOSITORY
from tests.fakes.stand_in import StandIn
from tests.scheduler.started import called

POWER_W = (200.0, 300.0)
AHEAD_S = 5000


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A run for two nodes with a process each; its specification."""
    study = Study(
        name="nodes",
        seeds=(0,),
        workload={"data": "digits", "model": "vgg_small", "train_samples": 320},
        training={"epochs": 2},
        methods={"early_bird": {}},
        energy={"gpus": "all", "idle_s": 0.5, "warm_up_s": 0},
        engine={"gpus_per_run": 2, "nodes_per_run": 2},
    )
    folder = StudyFolder(tmp_path / "out")
    [run] = expand(study, Registry.discover())
    folder.bind(study, [run])
    path = folder.path / "run.json"
    path.write_text(run.model_dump_json())
    return path


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def elsewhen() -> list[str]:
    """A command's beginning that sets its monotonic clock ahead, where the system has that."""
    words = ["unshare", "--time", "--monotonic", str(AHEAD_S)]
    try:
        ended = subprocess.run([*words, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return words if ended.returncode == 0 else []


def begun(rank: int, spec: Path, port: int, env: dict[str, str]) -> subprocess.Popen[str]:
    words = ["-m", "harness", "worker", str(spec)]
    words += ["--node", f"{rank}/2", "--meet", f"127.0.0.1:{port}"]
    return subprocess.Popen(
        [*elsewhen(), sys.executable, *words] if rank else [prepared.python(), *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_energy_of_both_nodes_is_summed_on_one_clock(
    spec: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machines = []
    for rank, power_w in enumerate(POWER_W):
        (tmp_path / f"node-{rank}").mkdir()
        machines.append(StandIn(tmp_path / f"node-{rank}" / "state", power_w=[power_w]))
    port = free_port()
    nodes = [
        begun(rank, spec, port, machine.environment(library))
        for rank, machine in enumerate(machines)
    ]
    for node in nodes:
        ended, _ = node.communicate(timeout=300)
        assert node.returncode == 0, ended
    for machine in machines:
        machine.close()

    out = spec.parent
    run = RunFolder(out / "runs" / "early_bird" / "seed-0")
    assert sorted(path.name for path in run.path.glob("trace-*")) == [
        "trace-1.node-1.parquet",
        "trace-1.parquet",
    ]
    journal = Journal(run)
    assert journal.attempts[0].events[0]["processes"] == 2
    first, last = journal.events("clocks")
    for event in (first, last):
        [clock] = event["nodes"]
        ahead_s = AHEAD_S if elsewhen() else 0
        assert clock["offset_ns"] == pytest.approx(ahead_s * 1e9, abs=clock["uncertainty_ns"] + 1e5)
    [row] = public.load(out).to_dict("records")
    assert row["energy_j"] == pytest.approx(sum(POWER_W) * row["duration_s"], rel=0.02)
    ended = called("report", str(out))
    assert ended.returncode == 0, ended.stderr


def test_one_machine_is_not_two(tmp_path: Path) -> None:
    two = ("--set", "engine.nodes_per_run=2", "--set", "engine.gpus_per_run=2")
    ended = called("dense", *two, "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert "this machine is one; use engine.kind = slurm" in ended.stderr
    ended = called("dense", *two[:2], "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert "nodes_per_run = 2 does not divide gpus_per_run = 1" in ended.stderr


def test_a_node_must_know_the_others(spec: Path) -> None:
    for words, why in (
        (("--node", "2/2"), "--node 2/2: must be RANK/OF"),
        (("--node", "0/2"), "--meet: must be HOST:PORT"),
        ((), "--node: of 1 nodes, but engine.nodes_per_run = 2"),
    ):
        ended = called("worker", str(spec), *words)
        assert ended.returncode == 2
        assert why in ended.stderr
