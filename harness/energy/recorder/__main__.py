"""The recorder: a small process of its own that reads every meter and appends to the trace.

Started as `python -m harness.energy.recorder CONFIG`, with CONFIG as JSON. It prints a JSON line
once it knows the sensors and its first readings are on file, and ends, after its last readings,
when its standard input closes: so it never outlives whoever started it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from harness.energy.meter import MeterSetup
from harness.energy.meters.finders import FINDERS
from harness.energy.recorder.conditions import Conditions
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.signals import PipeSignals
from harness.energy.recorder.trace_writer import TraceWriter
from harness.log import LogWriter


def record(config: dict[str, Any]) -> None:
    """Record until standard input closes.

    Args:
        config: `trace` (path), `meters` (kinds), `period_s`, `idle_s`, `cool_down_c`, `borders` (a
            file descriptor, or none) and `setup` for `MeterSetup`.
    """
    setup = MeterSetup(**config["setup"])
    found = [FINDERS[kind](setup) for kind in config["meters"]]
    meters = [meter for each in found for meter in each.meters]
    observers = [observer for each in found for observer in each.observers]
    trace = TraceWriter(LogWriter(Path(config["trace"])))
    trace.tell(
        {
            "sensors": [meter.sensor.to_json() for meter in meters],
            "notes": [note for each in found for note in each.notes],
            "period_s": config["period_s"],
            "recorder_pid": os.getpid(),
        }
    )
    signals = PipeSignals(config["borders"])
    recording = Recording(meters, observers, trace, signals, round(config["period_s"] * 1e9))
    conditions = Conditions(observers, setup.process_id)
    cooled = conditions.cool_down(config["cool_down_c"], signals)
    if cooled:
        trace.tell(cooled)
    recording.get_to_know(round(config["idle_s"] * 1e9))
    ready = conditions.look()
    trace.tell(ready)
    with contextlib.suppress(BrokenPipeError):  # who started this may be gone already
        os.write(sys.stdout.fileno(), json.dumps(ready).encode() + b"\n")
    gc.freeze()  # nothing that is here by now will go: let the collector leave it alone
    recording.read()


if __name__ == "__main__":
    # The recorder stops when its starter says so, and not before the run has.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    record(json.loads(sys.argv[1]))
