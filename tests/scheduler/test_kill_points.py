"""Killed at random moments, a study run again and again ends as if nothing had happened.

Whoever is killed (the training, the recorder, the orchestrator, all at once): the final weights
are those of an undisturbed study bit by bit, every joule of every attempt is counted, and nothing
is left running.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from harness.energy.trace_file import lines
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.table import Tables
from tests.conftest import Cases
from tests.scheduler.started import (
    Started,
    called,
    killed,
    nothing_left,
    recorder_of,
    runs_of,
    started,
    trainer_of,
    wait_until,
)

METHODS = ("early_bird", "lottery_ticket", "dense", "progressive")
"""The last two with `--torture` alone."""
WORDS = (
    *("--seed", "0", "--set", "training.epochs=3"),
    *("--set", "workload.train_samples=720", "--no-report", "--out"),
)
VICTIMS = ("the training", "the recorder", "the orchestrator", "all")
LONGEST_WAIT_S = 3.0
"""How long after its first sign of work a harness is killed at the latest: about two runs."""


@pytest.mark.torture
def test_a_study_survives_being_killed_at_random_moments(tmp_path: Path, cases: Cases) -> None:
    words = (*METHODS[: cases(2, len(METHODS))], *WORDS)
    undisturbed = tmp_path / "undisturbed"
    ended = called(*words, str(undisturbed))
    assert ended.returncode == 0, ended.stderr
    chance = random.Random(20261126)
    kills = itertools.cycle(chance.sample(VICTIMS, len(VICTIMS)))
    left, studies = cases(4, 200), 0
    count: dict[str, int] = dict.fromkeys(VICTIMS, 0)
    while left:
        studies += 1
        folder = tmp_path / f"study-{studies}"
        folder.mkdir()
        left -= batter(folder, words, left, kills, chance, count)
        check(folder / "out", undisturbed)
        print(f"{sum(count.values())} kills, {studies} studies ended bit-equal: {count}")  # noqa: T201 - the figure


def batter(
    folder: Path,
    words: tuple[str, ...],
    most: int,
    victims: itertools.cycle[str],
    chance: random.Random,
    count: dict[str, int],
) -> int:
    """Run a study, killed up to `most` times, until it is done; how often it was killed."""
    kills, out = 0, folder / "out"
    while True:
        orchestrator = started(folder, *words, "out")
        begun = records(out)
        while orchestrator.poll() is None:
            wait_until(
                lambda o=orchestrator, b=begun: records(out) != b or o.poll() is not None,
                "work goes on",
            )
            ends = time.monotonic() + chance.uniform(0, LONGEST_WAIT_S)
            while orchestrator.poll() is None and time.monotonic() < ends:
                time.sleep(0.02)
            if kills == most or orchestrator.poll() is not None:
                break
            victim = next(victims)
            if kill(victim, orchestrator, out):
                count[victim] += 1
                kills += 1
            begun = records(out)
        output, _ = orchestrator.communicate(timeout=300)
        assert "Traceback" not in output, output
        assert orchestrator.returncode in (0, 3, -signal.SIGKILL), output
        if orchestrator.returncode == 0:
            return kills


def kill(victim: str, orchestrator: Started, out: Path) -> bool:
    """Kill one of the harness' processes, or all; whether it was there."""
    if victim in ("the orchestrator", "all"):
        with nothing_left(orchestrator, out):
            if victim == "all":
                os.killpg(orchestrator.pid, signal.SIGKILL)
                if recorder := recorder_of(orchestrator):  # in a session of its own
                    killed(recorder.pid)
            killed(orchestrator.pid)
        return True
    recorder = recorder_of(orchestrator)
    found = trainer_of(out) if victim == "the training" else recorder and recorder.pid
    if found:
        killed(found)
    return bool(found)


def records(out: Path) -> int:
    """How much is on record."""
    journals = (folder.journal for folder in runs_of(out).values())
    return sum(journal.stat().st_size for journal in journals if journal.exists())


def check(out: Path, undisturbed: Path) -> None:
    """All runs are done, with an undisturbed study's weights and the joules of all attempts."""
    theirs = runs_of(undisturbed)
    tables = Tables(out)
    assert set(tables.runs["status"]) == {"done"}
    assert (tables.runs["energy_source"] == "estimated").all()
    for name, folder in runs_of(out).items():
        mine, other = weights(folder), weights(theirs[name])
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[key], other[key]) for key in mine), name
    runs = tables.runs.set_index("method")
    parts = tables.phases.groupby("method")["energy_j"].sum()
    attempts = tables.attempts.groupby("method")["energy_j"].sum()
    for folder in runs_of(out).values():
        row = runs.loc[folder.read_spec().method]
        assert parts[row.name] == pytest.approx(row["energy_j"], rel=1e-6)
        assert attempts[row.name] == pytest.approx(row["energy_j"], rel=1e-6)
        low_j, high_j = bounds_j(folder)
        slack_j = row["border_j"] + row["gap_j"]
        assert low_j - slack_j <= row["energy_j"] <= high_j + slack_j


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(folder.checkpoint, weights_only=True)["state"]["network"]


def bounds_j(folder: RunFolder) -> tuple[float, float]:
    """Between which the energy of all attempts lies, without our integration.

    CPU time only rises: at a border it lies between the readings on either side. Memory draws
    between the least and the most that was read. An attempt that was killed lasts as long as it is
    known to have drawn.
    """
    low_j = high_j = 0.0
    for attempt in Journal(folder).attempts:
        heard = [line for line in readings_of(folder.trace(attempt.number)) if line[2] is not None]
        cpu, memory = ([line[1:3] for line in heard if line[0] == number] for number in (0, 1))
        if not cpu or not memory:
            continue
        begin_ns, end_ns = attempt.events[0]["time_ns"], attempt.events[-1]["time_ns"]
        if not attempt.has_ended:
            end_ns = max([end_ns, *(line[1] for line in heard)])
        seconds = (end_ns - begin_ns) * 1e-9
        low_j += max(before(cpu, end_ns) - after(cpu, begin_ns), 0.0)
        high_j += after(cpu, end_ns) - before(cpu, begin_ns)
        low_j += min(power_w for _, power_w in memory) * seconds
        high_j += max(power_w for _, power_w in memory) * seconds
    return low_j, high_j


def before(readings: list[list[float]], time_ns: int) -> float:
    """The last value up to a moment; the first there is, if none is as early."""
    return max((v for t, v in readings if t <= time_ns), default=readings[0][1])


def after(readings: list[list[float]], time_ns: int) -> float:
    """The first value from a moment on; the last there is, if none is as late."""
    return min((v for t, v in readings if t >= time_ns), default=readings[-1][1])


def readings_of(trace: Path) -> list[list[float]]:
    """The readings of a trace's last recorder, and of those that went on for it."""
    found: list[list[float]] = []
    for line in lines(trace):
        if isinstance(line, list):
            found.append(line)
        elif "sensors" in line and not line.get("continues"):
            found.clear()
    return found
