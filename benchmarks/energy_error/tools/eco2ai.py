"""Eco2AI, polling once a second."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import eco2ai

from benchmarks.energy_error.waves import Load

JOULES_PER_KWH = 3.6e6


def measure(load: Load) -> dict[str, Any]:
    """The GPU's part of what it found, which its table does not show."""
    with tempfile.TemporaryDirectory() as folder:
        tracker = eco2ai.Tracker(
            project_name="error",
            experiment_description="error",
            file_name=str(Path(folder) / "emission.csv"),
            measure_period=1,
            alpha_2_code="FR",
            cpu_processes="current",
            ignore_warnings=True,
        )
        load.settle()
        tracker.start()
        load.work()
        tracker.stop()
        found = tracker._gpu.get_consumption()  # noqa: SLF001 - it is nowhere else
    return {"energy_j": found * JOULES_PER_KWH}
