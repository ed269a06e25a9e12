"""A run's lock: one holder at a time, gone with the last process that has it, never longer."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.utils.file_lock import AlreadyHeld, Hold, Holder, hold
from tests.conftest import REPOSITORY

HOLDS = """
import sys, time
from pathlib import Path
from harness.utils.file_lock import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


def other_process(lock: Path, program: str = HOLDS) -> subprocess.Popen[str]:
    """A process that holds the lock until its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(lock)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_who_comes_second_learns_who_holds_it(lock: Path) -> None:
    with other_process(lock) as other:
        with pytest.raises(AlreadyHeld) as caught:
            hold(lock)
        assert caught.value.holder.process_id == other.pid
        assert caught.value.holder.host == platform.node()
        assert str(caught.value).startswith(f"process {other.pid} on {platform.node()} since 20")
        other.communicate()
    hold(lock).release()


def test_a_holder_in_this_process_counts_as_well(lock: Path) -> None:
    held = hold(lock)
    with pytest.raises(AlreadyHeld):
        hold(lock)
    held.release()


def test_the_lock_of_a_killed_process_is_free(lock: Path) -> None:
    with other_process(lock) as other:
        other.kill()
    assert lock.exists()  # what is left of it means nothing
    hold(lock).release()


def test_nothing_is_left_of_a_lock_that_was_let_go(lock: Path) -> None:
    hold(lock).release()
    assert not lock.exists()


def test_a_file_that_says_nothing_is_held_by_another_process(lock: Path) -> None:
    held = hold(lock)
    os.truncate(lock, 0)
    with pytest.raises(AlreadyHeld, match="another process"):
        hold(lock)
    held.release()


@pytest.mark.parametrize("content", ["", "[]", '{"process_id": "x"}', "\\xff", "[" * 2000])
def test_what_a_stranger_wrote_is_no_holder(lock: Path, content: str) -> None:
    held = hold(lock)
    lock.write_text(content)
    with pytest.raises(AlreadyHeld) as caught:
        hold(lock)
    assert caught.value.holder == Holder()
    held.release()


def test_it_waits_if_asked_to(lock: Path) -> None:
    with other_process(lock) as other:
        waiter: list[Hold] = []
        thread = threading.Thread(target=lambda: waiter.append(hold(lock, wait=True)))
        thread.start()
        assert waiter == []
        other.communicate()
        thread.join(60)
        waiter[0].release()


def test_passed_on_to_another_process_it_lives_as_long_as_that(lock: Path) -> None:
    """As the engine does it: its own end, however sudden, does not free a run still worked on."""
    held = hold(lock)
    process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(60,))
    process.held = held  # goes along with the process object
    process.start()
    os.close(held.fileno())  # as if this process had been killed
    with pytest.raises(AlreadyHeld):
        hold(lock)
    process.kill()
    process.join(60)
    hold(lock).release()


def test_two_that_hurry_never_both_hold_it(lock: Path) -> None:
    """Letting go takes the name away: who had opened the old file must not think it holds it."""
    held, most, broken = [0], [0], []

    def take_and_leave() -> None:
        for _ in range(300):
            mine = hold(lock, wait=True)
            held[0] += 1
            most[0] = max(most[0], held[0])
            if held[0] != 1:
                broken.append(held[0])
            held[0] -= 1
            mine.release()

    threads = [threading.Thread(target=take_and_leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most[0], broken) == (1, [])


def test_without_locks_in_the_file_system_work_goes_on(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    hold(lock).release()


def test_a_place_where_nothing_can_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        hold(tmp_path / "file" / ".lock")


def test_signals_do_not_break_the_wait(lock: Path) -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with other_process(lock) as other:
            ending = threading.Timer(0.3, other.communicate)
            ending.start()
            hold(lock, wait=True).release()
            ending.join()  # before its pipes are closed
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
