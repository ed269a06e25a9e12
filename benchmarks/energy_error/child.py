"""A tool's process: `python -m benchmarks.energy_error.child ORDER`, with ORDER as JSON.

ORDER names the adapter (`tool`), `settings` of the GPU, `boards`, `call_ms`, and `trials`. It says
"ready" once all is imported, and begins on a signal, so that no start disturbs
another's measurement.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from benchmarks.energy_error.waves import A100, IDLE_W, Load
from tests.fakes.stand_in import StandIn

MARK = "@@ "
"""Begins the lines that are meant for the parent: tools print what they like."""


def serve(order: dict[str, Any]) -> None:
    """Measure every trial, each with the tool begun anew."""
    powers_w = [IDLE_W] * order["boards"]
    machine = StandIn(Path(os.environ["STANDIN_STATE"]), power_w=powers_w, **A100)
    gpu = machine.gpus[0]
    if order["call_ms"]:
        machine.fault(0, "nvmlDevice", hang_ms=order["call_ms"])
    gpu.processes = {os.getpid(): 1 << 30}
    for name, value in order["settings"].items():
        setattr(gpu, name, value)
    adapter = importlib.import_module(f"benchmarks.energy_error.tools.{order['tool']}")
    _tell("ready")
    sys.stdin.readline()
    for trial in order["trials"]:
        gpu.noise_seed = trial["number"]
        load = Load(gpu, trial["wave"], trial["seed"])
        try:
            found = adapter.measure(load)
        except Exception as failure:  # noqa: BLE001 - whatever a tool throws, the others go on
            traceback.print_exc()
            _tell({**trial, "failed": f"{type(failure).__name__}: {failure}"})
            continue
        length_s = (load.end_ns - load.start_ns) * 1e-9
        _tell({**trial, "length_s": length_s, "truth_j": load.truth_j(), **found})


def _tell(what: object) -> None:
    sys.__stdout__.write(f"\n{MARK}{json.dumps(what)}\n")
    sys.__stdout__.flush()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
