"""The recorder, seen from whoever starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.energy.meter import MeterSetup
    from harness.settings import EnergySettings

PATIENCE_S = 20.0
"""Time the recorder gets for its last readings before it is killed."""


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
    ) -> None:
        """Start it, and wait until it knows the sensors and idle power is measured.

        Args:
            trace: Where it writes.
            settings: Which sensors, and how.
            setup: Whom it watches.
            borders: A file descriptor on which the run announces borders, a byte or more each.

        Raises:
            RuntimeError: It did not start; what it said stands above.
        """
        config = {
            "trace": str(trace),
            "meters": settings.meters,
            "period_s": settings.period_s,
            "idle_s": settings.idle_s,
            "cool_down_c": settings.cool_down_c,
            "borders": borders,
            "setup": asdict(setup),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.energy.recorder", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
            pass_fds=() if borders is None else (borders,),
            env={**os.environ, "PYTHONPATH": _import_path(), "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            said = self._process.stdout.readline() if self._process.stdout else ""
        except BaseException:
            self.stop()
            raise
        if not said:
            self.stop()
            raise RuntimeError("the recorder did not start")
        self.conditions: dict[str, dict[str, Any]] = json.loads(said)["conditions"]

    def stop(self) -> None:
        """Have it take its last readings and end."""
        try:
            self._process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def _import_path() -> str:
    # The recorder must find the same package, from whatever folder it is started.
    home = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
