"""The recorder, seen from whoever starts it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.energy.meter import MeterSetup
    from harness.settings import EnergySettings

PATIENCE_S = 20.0
"""Time the recorder gets for its last readings before it is killed."""
MOST_REVIVALS = 100
"""A recorder that has died so often will not live."""
BETWEEN_REVIVALS_S = 2.0


class RecorderProcess:
    """A recorder that runs until it is stopped, or until this process is gone.

    Attributes:
        conditions: By device, how it was found before the run (see `Conditions.look`).
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
            setup: Whom it watches.
            borders: A file descriptor on which the run announces borders, a byte or more each.
            keep: File descriptors that it holds open as long as it lives.

        Raises:
            MeasurementError: It did not start; what it said stands above.
        """
        self._config = {
            "trace": str(trace),
            "meters": settings.meters,
            "period_s": settings.period_s,
            "idle_s": settings.idle_s,
            "cool_down_c": settings.cool_down_c,
            "borders": borders,
            "setup": asdict(setup),
            "continues": False,
        }
        self._files = (*(() if borders is None else (borders,)), *keep)
        self._revivals = 0
        self._began_s = 0.0
        # One that was killed while it started is started once more.
        said = self._said_at_start() or self._said_at_start()
        if not said:
            raise MeasurementError("the recorder did not start; what it said stands above")
        self.conditions: dict[str, dict[str, Any]] = json.loads(said)["conditions"]

    def revive(self) -> None:
        """Start another in its place if it has died; it goes on with the same trace.

        Called over and over while the recorder should live. It neither waits nor raises.
        """
        soon = self._revivals and time.monotonic() - self._began_s < BETWEEN_REVIVALS_S
        if self._process.poll() is not None and not soon:
            self._go_on()

    def stop(self) -> None:
        """Have it take its last readings and end; if it has died, another one takes them.

        What a counter has counted meanwhile is in these.
        """
        if self._process.poll() is not None:
            self._go_on()
        self._end()

    def _go_on(self) -> None:
        if self._revivals >= MOST_REVIVALS:
            return
        self._revivals += 1
        with contextlib.suppress(OSError):
            self._end()  # it is gone: only its pipes are closed
            self._config["continues"] = True
            self._start()

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _said_at_start(self) -> str:
        """Start it, and wait for its first word; "" if it ended without one."""
        self._start()
        try:
            said = self._process.stdout.readline() if self._process.stdout else ""
        except BaseException:
            self._end()
            raise
        if not said:
            self._end()
        return said

    def _start(self) -> None:
        self._began_s = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.energy.recorder", json.dumps(self._config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
            pass_fds=self._files,
            env={**os.environ, "PYTHONPATH": _import_path(), "OPENBLAS_NUM_THREADS": "1"},
        )


def _import_path() -> str:
    # The recorder must find the same package, from whatever folder it is started.
    home = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
