"""Measures what runs between two moments, with a recorder around it.

`Measurement` starts and stops the recorder around one window; `MeasuredBlock` is what
`harness.measure` opens: a measurement of this process, with named windows in it. Both read the
trace when they end, as `harness.energy.window_energy` does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.energy.live import LiveEnergy
from harness.energy.recorder.process import prepare_for_forks
from harness.energy.sensors.base import MeterSetup, Sensor
from harness.energy.sensors.discover import visible_gpus
from harness.energy.sensors.estimate import watts_per_thread
from harness.energy.trace import Trace, read_trace
from harness.energy.window_energy import Measured, WindowEnergy, by_window, measured
from harness.settings.settings import EnergySettings

if TYPE_CHECKING:
    from harness.energy.recorder.process import RecorderProcess


WATCH_PERIOD_S = 0.5
"""Time between two looks at whether the recorder lives."""


class Measurement:
    """Runs a recorder while its context lasts: `with Measurement(...) as running`.

    The window opens with `open_window` and closes with `close_window`, or with the context. After
    the context `result` holds what was found, and `recorded` all that was read.

    Args:
        trace: Where the raw readings go.
        settings: Which sensors, and how often.
        setup: What the sensors need to know of the process they watch.
    """

    def __init__(self, trace: Path, settings: EnergySettings, setup: MeterSetup) -> None:
        self._trace = trace
        self._settings = settings
        self._setup = setup
        self._start_ns = 0
        self._end_ns = 0
        self._owner = os.getpid()
        self._pipe: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._is_stopped = False
        self._watcher: threading.Thread | None = None
        self.result: Measured | None = None
        self.recorded = Trace()

    def __enter__(self) -> Measurement:
        """Start the recorder, and wait until idle power is measured."""
        from harness.energy.recorder.process import RecorderProcess

        prepare_for_forks(self)
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        try:
            self._recorder: RecorderProcess = RecorderProcess(
                self._trace, self._settings, self._setup, self._pipe[0]
            )
        except BaseException:
            self._close_pipe()
            raise
        self._watch()
        return self

    def open_window(self) -> None:
        """Open the measurement window."""
        self._start_ns = self.mark()

    def close_window(self) -> None:
        """Close the measurement window."""
        self._end_ns = self.mark()

    def __exit__(self, *_: object) -> None:
        """Stop the recorder and compute the result; does nothing in a process forked meanwhile."""
        if os.getpid() != self._owner:
            return
        if not self._end_ns:
            self.close_window()
        self._is_stopped = True
        self.before_fork()
        self._recorder.stop()
        self._close_pipe()
        self._watcher = None
        self.recorded = read_trace(self._trace)
        self.result = measured(self.recorded, self._start_ns, self._end_ns)

    def mark(self) -> int:
        """Announce to the recorder that a window begins or ends; returns the monotonic time."""
        now_ns = time.monotonic_ns()
        with self._lock:  # the number of a pipe that was closed may be another file's by now
            # The recorder is gone or overwhelmed: coverage will show it.
            if self._pipe:
                with contextlib.suppress(BrokenPipeError, BlockingIOError):
                    os.write(self._pipe[1], b"|")
        return now_ns

    def sensors(self) -> list[Sensor]:
        """The sensors that are recorded, by what has been written so far."""
        return [each.sensor for each in read_trace(self._trace).readings]

    @property
    def recorder_process_id(self) -> int:
        """The process that records."""
        return self._recorder.process_id

    def before_fork(self) -> None:
        """End the thread that watches the recorder: a process without threads forks safely."""
        self._over.set()
        if self._watcher is not None:
            self._watcher.join()

    def after_fork(self, *, in_child: bool) -> None:
        """Watch the recorder again; the child leaves it and its pipe to this process."""
        if in_child:
            self._lock = threading.Lock()  # another thread may have held the one that was copied
            self._watcher = None
            self._close_pipe()
        elif self._watcher is not None and not self._watcher.is_alive():
            self._watch()

    def _watch(self) -> None:
        """Start another recorder whenever this one dies, as long as the measurement lasts."""
        self._over.clear()
        if self._is_stopped:  # while another thread forked
            return

        def watch() -> None:
            while not self._over.wait(WATCH_PERIOD_S) and not self._is_stopped:
                self._recorder.revive()

        self._watcher = threading.Thread(target=watch, name="energy recorder's watch", daemon=True)
        self._watcher.start()

    def _close_pipe(self) -> None:
        with self._lock:
            if self._pipe:
                for end in self._pipe:
                    os.close(end)
            self._pipe = None


_watts_lock = threading.Lock()
_watts = functools.cache(watts_per_thread)


class MeasuredBlock:
    """A measurement of this process, open from construction until it is closed.

    In a process forked meanwhile it is neither open nor closed: there its methods do nothing.

    Args:
        settings: Which sensors, and how often.
        trace: Where the raw readings go; None for a temporary file.

    Attributes:
        trace: As it was given.
        is_closed: Whether it was closed.

    Raises:
        MeasurementError: The recorder does not start.
    """

    def __init__(self, settings: EnergySettings, trace: Path | None) -> None:
        self._owner = os.getpid()
        self.trace = trace
        self.is_closed = False
        self._begun: dict[str, int] = {}
        self._ended: list[tuple[str, int, int]] = []
        with _watts_lock:  # importing CodeCarbon redirects the output of all threads
            watts, note = _watts()
        visible = visible_gpus()
        self._notes = (visible.note,) if visible.note else ()
        setup = MeterSetup(os.getpid(), visible.gpus, watts, note)
        folder = tempfile.mkdtemp(prefix="energy-harness-")
        self._clear = weakref.finalize(self, _clear, folder, self._owner)
        written = trace or Path(folder) / "trace.jsonl"
        written.unlink(missing_ok=True)
        self._measurement = Measurement(written, settings, setup)
        self._live = LiveEnergy(written)
        self._measurement.__enter__()
        _wait_for_gpus()
        self._measurement.open_window()

    @property
    def is_open(self) -> bool:
        """Whether it measures, and this process may end it."""
        return not self.is_closed and os.getpid() == self._owner

    def begin(self, name: str) -> bool:
        """Open a window; False if one of that name is open."""
        if not self.is_open:
            return True
        if name in self._begun:
            return False
        _wait_for_gpus()
        self._begun[name] = self._measurement.mark()
        return True

    def end(self, name: str, called: str | None = None) -> bool:
        """Close a window, and store it under the name `called` if given; False if none is open."""
        if not self.is_open:
            return True
        if name not in self._begun:
            return False
        _wait_for_gpus()
        self._ended.append((called or name, self._begun.pop(name), self._measurement.mark()))
        return True

    def close(self) -> tuple[Measured | None, dict[str, WindowEnergy]] | None:
        """Close all windows and compute the result; None in another process."""
        if not self.is_open:
            return None
        self.is_closed = True
        try:
            _wait_for_gpus()
            for name in list(self._begun):
                self._ended.append((name, self._begun.pop(name), self._measurement.mark()))
            self._measurement.close_window()
        finally:
            self._measurement.__exit__(None, None, None)
            self._clear()
        found = self._measurement.result
        windows = by_window(self._measurement.recorded, self._ended)
        self._measurement.recorded = Trace()  # a context may hold the block for long
        return found and replace(found, notes=(*self._notes, *found.notes)), windows

    def so_far_j(self) -> float:
        """Joules since the recorder began to read, roughly."""
        self._live.update()
        return self._live.energy_j


def _clear(folder: str, owner: int) -> None:
    """Remove a folder, unless this process was forked from the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_gpus() -> None:
    """Wait for all work that torch has queued, if torch is used at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.synchronize(index)
