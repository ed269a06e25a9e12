"""perun, polling ten times a second."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from perun import perun

from benchmarks.energy_error.waves import Load

POWER_OF_GPU = "CUDA:0_POWER"


def measure(load: Load) -> dict[str, Any]:
    """The energy that its report gives the GPU."""
    with tempfile.TemporaryDirectory() as folder:

        @perun(data_out=folder, format="json", sampling_period=0.1)
        def work() -> None:
            load.work()

        load.settle()
        work()
        (report,) = Path(folder).rglob("*.json")
        found = _energies(json.loads(report.read_text()))
    if not found:
        raise RuntimeError("no energy of the GPU in its report")
    return {"energy_j": found[0]}


def _energies(node: Any) -> list[float]:
    if isinstance(node, list):
        return [energy for each in node for energy in _energies(each)]
    if not isinstance(node, dict):
        return []
    own = node.get(POWER_OF_GPU)
    if isinstance(own, dict) and "energy" in (own.get("metrics") or {}):
        return [float(own["metrics"]["energy"]["value"])]
    return [energy for each in node.values() for energy in _energies(each)]
