"""Two harnesses on one results folder: each takes what the other does not hold."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

import harness as public
from tests.scheduler.started import called, killed, nothing_left, started, trainer_of, wait_until

WAITS = '''
from pathlib import Path
import time
from harness import Inspect, Method, Train


def wait(network, batch):
    while not Path({go!r}).exists():
        time.sleep(0.01)
    return True


class Waits(Method):
    """Train once it may."""

    def phases(self, budget):
        yield Inspect(wait)
        yield Train("train", epochs=budget.epochs)
'''


@pytest.fixture
def words(tmp_path: Path) -> tuple[str, ...]:
    """A study whose first run waits for the file "go"."""
    (tmp_path / "waits.py").write_text(WAITS.format(go=str(tmp_path / "go")))
    # With this seed the run that waits is the first of the two.
    short = ("--seed", "1", "--set", "training.epochs=1", "--no-report", "--out")
    plugin = str(tmp_path / "waits.py")
    return ("waits", "dense", "--plugin", plugin, *short, str(tmp_path / "out"))


def test_the_second_says_who_works_and_takes_the_rest(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = started(tmp_path, *words)
    wait_until(lambda: trainer_of(out), "the first works on the run that waits")
    second = called(*words)
    assert second.returncode == 3, second.stderr
    who = f"process {first.pid} on {platform.node()} since 20"
    assert f"interrupted: waits, seed 1: {who}" in second.stderr
    assert "works on it" in second.stderr
    table = public.load(out).set_index("method")
    assert table.loc["dense", "status"] == "done"
    with nothing_left(first, out):
        (tmp_path / "go").touch()
    output, _ = first.communicate()
    assert first.returncode == 0, output
    assert "dense, seed 1: done already" in output
    table = public.load(out).set_index("method")
    assert set(table["status"]) == {"done"}
    assert set(table["attempts"]) == {1}


def test_what_a_killed_harness_held_is_free(words: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = started(tmp_path, *words)
    wait_until(lambda: trainer_of(out), "the first works")
    with nothing_left(first, out):
        killed(first.pid)
    first.communicate()
    (tmp_path / "go").touch()
    second = called(*words)
    assert second.returncode == 0, second.stderr
    table = public.load(out).set_index("method")
    assert (table.loc["waits", "attempts"], table.loc["dense", "attempts"]) == (2, 1)
