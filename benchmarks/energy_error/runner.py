"""Runs the tools' processes, a round at a time: some trials of one tool, side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.energy_error.child import MARK

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
_BUSY = "while True: pass"


@dataclass(frozen=True)
class Tool:
    """A row of the table.

    Attributes:
        adapter: Its file in `tools`.
        package: The peer's distribution; None: it runs in this environment.
        settings: Of the stand-in GPU, beside those that all share.
        boards: How many GPUs the machine has; the first one draws the load.
        call_ms: How long a call of the driver takes.
        others: Processes that keep a core busy meanwhile.
    """

    adapter: str
    package: str | None = None
    settings: dict[str, float] = field(default_factory=dict)
    boards: int = 1
    call_ms: float = 0.0
    others: int = 0


NO_COUNTER = {"counter_supported": 0}
TOOLS = {
    "ours": Tool("ours"),
    "ours, no counter": Tool("ours", settings=NO_COUNTER),
    "ours, counter of 250 ms": Tool("ours", settings={"counter_update_ms": 250}),
    "ours, 8 boards, 1 ms a call": Tool("ours", boards=8, call_ms=1.0),
    "ours, 8 boards, a core busy": Tool("ours", boards=8, call_ms=1.0, others=1),
    "Zeus ZeusMonitor": Tool("zeus_window", "zeus"),
    "Zeus PowerMonitor, 100 ms": Tool("zeus_power", "zeus"),
    "CodeCarbon": Tool("codecarbon", "codecarbon"),
    "CodeCarbon, no counter": Tool("codecarbon", "codecarbon", NO_COUNTER),
    "carbontracker": Tool("carbontracker", "carbontracker"),
    "perun": Tool("perun_run", "perun"),
    "Eco2AI": Tool("eco2ai", "eco2ai"),
    "instant power at 50 Hz, trapezoid": Tool("polled_power"),
    "plain counter read": Tool("plain_counter"),
}

LANES = (
    ("steady 20 s",),
    ("square 1 Hz 20 s",),
    ("10 % duty 20 s",),
    ("10 Hz square 5 s", "steady 3 s", *["burst 0.15-1.5 s"] * 4),
)
"""A round's trials: each lane is a process with a GPU of its own, and the lanes of one tool run at
once, so that no tool is disturbed by another, only by itself."""


class Runner:
    """Runs rounds.

    Args:
        library: The stand-in driver, built.
        folder: For state files and what tools write.
        peers_python: The interpreter that has the peers; None: they are left out.
    """

    def __init__(self, library: Path, folder: Path, peers_python: Path | None) -> None:
        self._folder = folder
        self._peers_python = peers_python
        commands = folder / "bin"
        commands.mkdir()
        command = commands / "nvidia-smi"  # CodeCarbon looks whether there is one
        command.write_text("#!/bin/sh\nexit 0\n")
        command.chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "LD_LIBRARY_PATH": str(library.parent),
            "PYTHONWARNINGS": "ignore",
        }
        self._environment.pop("CUDA_VISIBLE_DEVICES", None)

    def round(self, name: str, lanes: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Run a tool's trials, and return their records; each says `failed` why, if it did."""
        tool = TOOLS[name]
        python = Path(sys.executable) if tool.package is None else self._peers_python
        if python is None:
            return [{**trial, "failed": "no environment"} for lane in lanes for trial in lane]
        started = []
        for number, lane in enumerate(lanes):  # one after another: starting takes all of a core
            started.append(self._start(tool, python, number, lane))
            _wait_for_ready(started[-1])
        records = []
        with ExitStack() as others:
            for _ in range(tool.others):
                busy = others.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY]))
                others.callback(busy.kill)
            for process in started:
                _go(process)
            for number, (process, lane) in enumerate(zip(started, lanes, strict=True)):
                records += self._ended(process, number, lane)
        return records

    def _start(
        self, tool: Tool, python: Path, number: int, lane: list[dict[str, Any]]
    ) -> subprocess.Popen[str]:
        order = {
            "tool": tool.adapter,
            "settings": tool.settings,
            "boards": tool.boards,
            "call_ms": tool.call_ms,
            "trials": lane,
        }
        with self._said(number).open("w") as said:
            return subprocess.Popen(
                [str(python), "-m", "benchmarks.energy_error.child", json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                cwd=self._folder,
                env={**self._environment, "STANDIN_STATE": str(self._folder / f"state-{number}")},
            )

    def _said(self, number: int) -> Path:
        return self._folder / f"said-{number}.txt"

    def _ended(
        self, process: subprocess.Popen[str], number: int, lane: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        try:
            output, _ = process.communicate(timeout=PATIENCE_S)
            why = (self._said(number).read_text().strip().splitlines() or ["no word"])[-1]
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            why = f"not done after {PATIENCE_S:g} s"
        found = [json.loads(line[len(MARK) :]) for line in output.split("\n") if _is_record(line)]
        done = {each["number"] for each in found}
        return [*found, *({**t, "failed": why} for t in lane if t["number"] not in done)]


def _wait_for_ready(process: subprocess.Popen[str]) -> None:
    for line in process.stdout or ():
        if line.startswith(MARK):
            return


def _go(process: subprocess.Popen[str]) -> None:
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it is gone, which its records will say


def _is_record(line: str) -> bool:
    return line.startswith(MARK + "{")
