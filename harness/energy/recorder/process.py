"""Starts, restarts and stops the recorder's process.

Forks need care: a child has copies of its parent's pipes, but none of its threads. A copy of the
pipe to a recorder keeps the recorder waiting for as long as the child lives, and a thread that held
a lock while another one forked leaves it locked in the child. `prepare_for_forks` registers hooks.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO
from weakref import WeakSet

from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.energy.sensors.base import MeterSetup
    from harness.settings.settings import EnergySettings


TIMEOUT_S = 20.0
"""Time the recorder gets for its last readings before it is killed."""
MAX_REVIVALS = 100
"""After this many restarts a recorder that dies is left dead."""
BETWEEN_REVIVALS_S = 2.0
_DETACH = """
import os, sys
if os.fork():
    os._exit(0)
os.write(1, b"%d\\n" % os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Starts the recorder detached: the CPU time of a child is added to its parent's when it
ends, and would be counted by every other recorder that watches the parent."""
_open: set[int] = set()
_unreaped: set[int] = set()
"""PIDs of the recorders that this process has started, and of those among them that have ended."""


class RecorderProcess:
    """A recorder that runs until it is stopped, or until this process is gone.

    A process forked from this one has no part in it: there every call does nothing.

    Attributes:
        conditions: By device, how it was found before the run (see `Conditions.look`).
        process_id: Of the recorder that runs now, which is no child of this process.
    """

    def __init__(
        self,
        trace: Path,
        settings: EnergySettings,
        setup: MeterSetup,
        borders: int | None = None,
        keep: Iterable[int] = (),
    ) -> None:
        """Start it, and wait until it knows the sensors and idle power is measured.

        Args:
            trace: Where it writes.
            settings: Which sensors, and how.
            setup: What its sensors need to know of the run.
            borders: A file descriptor on which the run announces borders, a byte or more each.
            keep: File descriptors that it holds open as long as it lives.

        Raises:
            MeasurementError: It failed to start; its output has the reason.
        """
        self._config = {
            "trace": str(trace),
            "meters": settings.meters,
            "period_s": settings.period_s,
            "idle_s": settings.idle_s,
            "cool_down_c": settings.cool_down_c,
            "borders": borders,
            "setup": asdict(
                replace(
                    setup,
                    scope=settings.scope,
                    plugs=settings.plugs,
                    controllers=settings.controllers,
                )
            ),
            "continues": False,
            "starter": os.getpid(),
        }
        self._files = (*(() if borders is None else (borders,)), *keep)
        self._owner = os.getpid()
        self._control = -1
        self._output: TextIO | None = None
        self.process_id = 0
        self._revivals = 0
        self._began_s = 0.0
        self._is_stopped = False
        prepare_for_forks(self)
        # One that was killed while it started is started once more.
        first_line = self._start_and_read() or self._start_and_read()
        if not first_line:
            raise MeasurementError("the recorder failed to start; see its output above")
        self.conditions: dict[str, dict[str, Any]] = json.loads(first_line)["conditions"]

    def revive(self) -> None:
        """Start another one if it has died; that one continues the trace.

        Called repeatedly while the recorder should live. It does not raise, and does nothing once
        the recorder was stopped.
        """
        if os.getpid() != self._owner or self._is_stopped:
            return
        soon = self._revivals and time.monotonic() - self._began_s < BETWEEN_REVIVALS_S
        if self._has_ended(0) and not soon:
            self._restart()

    def stop(self) -> None:
        """Ask it to take its last readings and end; if it has died, another one takes them.

        They include what a counter has counted meanwhile.
        """
        if os.getpid() != self._owner or self._output is None:
            return
        self._is_stopped = True
        if self._has_ended(0):
            self._restart()
        # One that was dying already may not have received it.
        if self._end() and not self._took_last_readings():
            self._restart()
            self._end()

    def _took_last_readings(self) -> bool:
        try:
            with Path(str(self._config["trace"])).open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - 4096, 0))
                return b'"end"' in file.read()
        except OSError:
            return True  # nothing could be written there anyway

    def before_fork(self) -> None:
        """Do nothing: it has no thread."""

    def after_fork(self, *, in_child: bool) -> None:
        """In the child, close its copies of the pipes: the recorder ends when all are closed."""
        if in_child:
            self._close()
            _open.clear()
            _unreaped.clear()

    def _restart(self) -> None:
        if self._revivals >= MAX_REVIVALS:
            return
        self._revivals += 1
        with contextlib.suppress(OSError):
            self._end()  # it is gone: only its pipes are closed
            self._config["continues"] = True
            self._start()

    def _has_ended(self, timeout_s: float) -> bool:
        """Whether it ends, and so closes its output, within this time."""
        until_s = time.monotonic() + timeout_s
        if self._output is None:
            return True
        # Unlike `select.select` it takes files of any number, of which a program may have many.
        with selectors.PollSelector() as output:
            output.register(self._output, selectors.EVENT_READ)
            while output.select(max(until_s - time.monotonic(), 0.0)):
                if not os.read(self._output.fileno(), 65536):
                    return True
        return False

    def _end(self) -> bool:
        """Ask it to end, and wait; whether it did, rather than being killed."""
        by_itself = True
        if not self._has_ended(0):
            with contextlib.suppress(OSError):
                self._kill(signal.SIGCONT)  # a stopped process would not read it
                # A byte, since closing is not enough if an unknown process has a copy of the pipe.
                os.write(self._control, b".")
            by_itself = self._has_ended(TIMEOUT_S)
            if not by_itself:
                with contextlib.suppress(OSError):
                    self._kill(signal.SIGKILL)
                self._has_ended(TIMEOUT_S)
        self._close()
        _reap(self.process_id)
        return by_itself

    def _kill(self, number: int) -> None:
        # To the system 0 is this process's group.
        if self.process_id:
            os.kill(self.process_id, number)

    def _close(self) -> None:
        if self._output is not None:
            self._output.close()
            os.close(self._control)
            self._output = None

    def _start_and_read(self) -> str:
        """Start it, and wait for its first line; "" if it ended without one."""
        try:
            self._start()
            first_line = self._output.readline() if self._output else ""
        except BaseException:
            self._end()
            raise
        if not first_line:
            self._end()
        return first_line

    def _start(self) -> None:
        self._began_s = time.monotonic()
        self.process_id = 0
        with contextlib.ExitStack() as its_ends:
            stdin, self._control = os.pipe()
            its_ends.callback(os.close, stdin)
            output, stdout = os.pipe()
            its_ends.callback(os.close, stdout)
            self._output = os.fdopen(output, encoding="utf-8")
            recorder = ["-m", "harness.energy.recorder", json.dumps(self._config)]
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _DETACH, *recorder],
                stdin=stdin,
                stdout=stdout,
                start_new_session=True,  # out of reach of the terminal's Ctrl-C
                pass_fds=self._files,
                env={**os.environ, "PYTHONPATH": _import_path(), "OPENBLAS_NUM_THREADS": "1"},
                check=False,
            )
        self.process_id = int(self._output.readline() or 0)
        _open.add(self.process_id)


def _reap(pid: int) -> None:
    """Reap recorders that have ended, if the system made them children of this process.

    It does so where this process is the first one of a container. While another recorder watches
    this process they are not reaped, since their CPU time would be added to this process's.
    """
    _open.discard(pid)
    _unreaped.update({pid} - {0})
    for each in [] if _open else list(_unreaped):
        try:
            ended, _ = os.waitpid(each, os.WNOHANG)
        except ChildProcessError:
            ended = each  # another process's, as usual
        if ended:
            _unreaped.discard(each)


def _import_path() -> str:
    # The recorder must find the same package, whatever the current folder.
    home = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])


class Forkable(Protocol):
    """Something with threads or pipes that a fork of this process must take care of."""

    def before_fork(self) -> None:
        """End threads; called in the thread that forks."""
        ...

    def after_fork(self, *, in_child: bool) -> None:
        """Start threads again; in the child, close the parent's pipes."""
        ...


_known: WeakSet[Forkable] = WeakSet()


def prepare_for_forks(each: Forkable) -> None:
    """Call the hooks of `each` around every fork, as long as it exists."""
    _known.add(each)


def _before() -> None:
    for each in list(_known):
        each.before_fork()


def _after(*, in_child: bool) -> None:
    for each in list(_known):
        each.after_fork(in_child=in_child)


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(in_child=False),
    after_in_child=lambda: _after(in_child=True),
)
