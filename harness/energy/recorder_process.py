"""The recorder, seen from whoever starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.energy.meter import MeterSetup
    from harness.settings import EnergySettings

PATIENCE_S = 20.0
"""Time the recorder gets for its last readings before it is killed."""


class RecorderProcess:
    """A recorder that runs until it is stopped, or until this process is gone."""

    def __init__(self, trace: Path, settings: EnergySettings, setup: MeterSetup) -> None:
        """Start it, and wait until its first readings are in `trace`.

        Raises:
            RuntimeError: It did not start; what it said stands above.
        """
        config = {
            "trace": str(trace),
            "meters": settings.meters,
            "period_s": settings.period_s,
            "setup": asdict(setup),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.energy.recorder", json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
            env={**os.environ, "PYTHONPATH": _import_path()},
        )
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            self.stop()
            raise RuntimeError("the recorder did not start")

    def stop(self) -> None:
        """Have it take its last readings and end."""
        try:
            self._process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def _import_path() -> str:
    # The recorder must find the same package, from whatever folder it is started.
    home = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
