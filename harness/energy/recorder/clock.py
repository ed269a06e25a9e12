"""The recorder's clock, its signals from the run, and a thread per device.

The run announces every border, where one energy window ends and the next begins, by a byte on a
pipe, and never waits for the recorder.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple, Protocol

Steps = Generator[int, bool, None]
"""Work that sleeps in between: it yields the moment at which it is to resume, and is sent whether a
border was announced meanwhile. A border wakes it early, and so does the end of the run."""


class Clocks(NamedTuple):
    """How far other clocks are ahead of the monotonic one.

    Attributes:
        away_ns: The clock that also counts while the machine is suspended.
        wall_ns: The wall clock.
    """

    away_ns: int
    wall_ns: int


class Signals(Protocol):
    """Time, and signals from the run."""

    stopped: bool

    def now_ns(self) -> int:
        """Monotonic clock."""
        ...

    def clocks(self) -> Clocks:
        """How far other clocks are ahead of it."""
        ...

    def wait(self, until_ns: int) -> bool:
        """Wait until then or the next signal; whether a border was announced."""
        ...

    def run(self, work: Mapping[str, Steps], watch: Steps) -> None:
        """Do all `work` at once, beside `watch`, until all of it or `watch` is done."""
        ...


class PipeSignals:
    """Listens to standard input, the starter's end, and the pipe with the run's borders.

    Args:
        borders: The pipe; None if there is none.
        starter: The process whose end is to stop this one, too; None if only standard input is.
    """

    def __init__(self, borders: int | None, starter: int | None = None) -> None:
        self.stopped = False
        self._borders = borders
        self._done, self._say_done = os.pipe()
        self._stops = {sys.stdin.fileno(), *_end_of(starter)}
        # Unlike `select.select` it takes files of any number: the run may have many open.
        self._sources = selectors.PollSelector()
        for source in (*self._stops, self._done, *([] if borders is None else [borders])):
            self._sources.register(source, selectors.EVENT_READ)

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC, the clock of the run's journal."""
        return time.monotonic_ns()

    def clocks(self) -> Clocks:
        """CLOCK_BOOTTIME on Linux; elsewhere a suspension is not seen."""
        now_ns = time.monotonic_ns()
        suspend_aware = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return Clocks(time.clock_gettime_ns(suspend_aware) - now_ns, time.time_ns() - now_ns)

    def wait(self, until_ns: int) -> bool:
        """Wait until then or the next signal; whether a border was announced."""
        seconds = max(until_ns - time.monotonic_ns(), 0) * 1e-9
        ready = {key.fd for key, _ in self._sources.select(seconds)}
        for stop in self._stops.intersection(ready):
            self.stopped = True
            self._stops.remove(stop)
            self._sources.unregister(stop)  # closed, it would be ready for ever
        if self._done in ready:
            os.read(self._done, 4096)
        if self._borders in ready and self._borders is not None:
            if os.read(self._borders, 4096):
                return True
            self._sources.unregister(self._borders)  # the run is gone; the starter will stop us
        return False

    def run(self, work: Mapping[str, Steps], watch: Steps) -> None:
        """Do all `work` at once, a thread each, beside `watch`, until all or `watch` is done.

        A call that hangs in a driver cannot be ended. So it is left to its thread, which does
        nothing more once this has returned.

        Raises:
            Exception: What some of the work raised; a recorder that fails on a device ends, so
                that another replaces it.
        """
        sleepers = [_Sleeper(name, steps, self._say_done) for name, steps in work.items()]
        due_ns = next(watch)
        while not (all(each.is_done for each in sleepers) or any(each.error for each in sleepers)):
            was_stopped = self.stopped
            is_border = self.wait(due_ns)
            if is_border or self.stopped != was_stopped:
                for each in sleepers:
                    each.wake(is_border=is_border)
            if time.monotonic_ns() >= due_ns or self.stopped != was_stopped:
                try:
                    due_ns = watch.send(is_border)
                except StopIteration:
                    break
        for each in sleepers:
            each.abandon()
        for each in sleepers:
            if each.error is not None:
                raise each.error


class _Sleeper:
    """Does some work in a thread of its own, and sleeps for as long as the work asks."""

    def __init__(self, name: str, steps: Steps, say_done: int) -> None:
        self.is_done = False
        self.error: Exception | None = None
        self._steps = steps
        self._say_done = say_done
        self._abandoned = False
        self._is_border = False
        self._is_woken = False
        self._woken = threading.Condition()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def wake(self, *, is_border: bool) -> None:
        with self._woken:
            self._is_border |= is_border
            self._is_woken = True
            self._woken.notify()

    def abandon(self) -> None:
        self._abandoned = True
        self.wake(is_border=False)

    def _work(self) -> None:
        try:
            due_ns = next(self._steps)
            while not self._abandoned:
                due_ns = self._steps.send(self._sleep(due_ns))
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001 - it is raised where the work was asked for
            self.error = error
        finally:
            self.is_done = True
            os.write(self._say_done, b".")

    def _sleep(self, until_ns: int) -> bool:
        """Sleep until then, or until woken; whether a border was announced."""
        with self._woken:
            left_ns = until_ns - time.monotonic_ns()
            while not self._is_woken and left_ns > 0:
                self._woken.wait(left_ns * 1e-9)
                left_ns = until_ns - time.monotonic_ns()
            is_border, self._is_border, self._is_woken = self._is_border, False, False
        return is_border


def _end_of(process_id: int | None) -> list[int]:
    """A descriptor that can be read once the process has ended; none where unsupported."""
    if process_id is None or not hasattr(os, "pidfd_open"):
        return []
    try:
        return [os.pidfd_open(process_id)]
    except OSError:  # it is gone, and so is the other end of standard input; or an old system
        return []


def announcer(borders: Connection) -> Callable[[], None]:
    """A function that announces a border on `borders`.

    Without a reader it does nothing: a recorder that is gone must not end the run.
    """
    file = borders.fileno()
    os.set_blocking(file, False)

    def announce() -> None:
        with contextlib.suppress(OSError):
            os.write(borders.fileno(), b"|")

    return announce
