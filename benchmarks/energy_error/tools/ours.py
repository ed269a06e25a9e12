"""This harness, with its default settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.energy_error.waves import Load
from harness.energy.measurement import Measurement
from harness.energy.sensors.base import MeterSetup
from harness.settings.settings import EnergySettings


def measure(load: Load) -> dict[str, Any]:
    """What it finds, and how sure it says it is."""
    setup = MeterSetup(os.getpid(), None, 4.0, "of no account beside a GPU")
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.jsonl"
        with Measurement(trace, EnergySettings(), setup) as running:
            load.settle()
            running.open_window()
            load.work()
            running.close_window()
        result = running.result
    # Other boards of the machine are read as well, and draw no load.
    (joules,) = [device.joules for device in result.devices if device.id == load.uuid]
    return {
        "energy_j": joules.energy_j,
        "uncertainty_j": joules.uncertainty_j,
        "uncertainty_without_gain_j": joules.without_gain_j,
        "coverage": joules.coverage,
        "flags": list(result.flags),
    }
