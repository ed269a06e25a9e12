"""The recorder: a small process of its own that reads every meter and appends to the trace.

Started as `python -m harness.energy.recorder CONFIG`, with CONFIG as JSON. It prints a JSON line
once it knows the sensors and its first readings are on file, and ends, after its last readings,
when a byte comes on its standard input, when that closes, or when the process that started it is
gone: so it never outlives it, even if a fork of that process holds the pipe open.
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

import psutil

from harness.energy.meter import MeterSetup, Observer, SensorError
from harness.energy.meters.finders import finder
from harness.energy.meters.host_state import HostObserver
from harness.energy.recorder.conditions import Conditions
from harness.energy.recorder.continued import RESTARTED, in_their_places, sensors_in
from harness.energy.recorder.neighbours import Neighbours
from harness.energy.recorder.owners import owned
from harness.energy.recorder.patience import found, patient
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.signals import PipeSignals
from harness.energy.recorder.trace_writer import TraceWriter
from harness.log import LogWriter

SWITCH_S = 0.0005
"""A thread that works, such as on a list of processes, lets one that reads go first after this."""


def record(config: dict[str, Any]) -> None:
    """Record until standard input says so or closes, or the starter is gone.

    Args:
        config: `trace` (path), `meters` (kinds), `period_s`, `idle_s`, `cool_down_c`, `borders` (a
            file descriptor, or none), `setup` for `MeterSetup`, `continues`: whether it takes the
            place of a recorder that died, during the run, and `starter`: the process that
            started it, if that is not its parent's.
    """
    sys.setswitchinterval(SWITCH_S)
    setup = MeterSetup(**config["setup"])
    kinds = [found(kind, finder(kind), setup) for kind in config["meters"]]
    notes = [note for each in kinds for note in each.notes]
    meters = [owned(meter, setup) for each in kinds for meter in each.meters]
    observers = [observer for each in kinds for observer in each.observers]
    path = Path(config["trace"])
    signals = PipeSignals(config["borders"], config.get("starter"))
    before = sensors_in(path) if config["continues"] else []
    log = LogWriter(path)
    trace = TraceWriter(log)
    period_ns = round(config["period_s"] * 1e9)
    if before:
        meters = in_their_places(meters, before)
        trace.tell({"continues": signals.now_ns(), "notes": notes, "recorder_pid": os.getpid()})
        for number in range(len(meters)):
            trace.reading(number, signals.now_ns(), None, RESTARTED)
    else:
        log.append(
            {
                "sensors": [meter.sensor.to_json() for meter in meters],
                "notes": notes,
                "period_s": config["period_s"],
                "recorder_pid": os.getpid(),
            }
        )
    neighbours = Neighbours(setup.process_id)
    watched = [*observers, *_host(setup.process_id)]
    recording = Recording(meters, watched, trace, signals, period_ns, neighbours)
    conditions = Conditions(patient(observers), neighbours)
    if before:
        recording.get_to_know(0)
    else:
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


def _host(process_id: int) -> list[Observer]:
    """Who watches the machine beside the run; nobody if the run is gone already."""
    try:
        return [HostObserver(process_id)]
    except (psutil.Error, SensorError, OSError):
        return []


if __name__ == "__main__":
    # The recorder stops when its starter says so, and not before the run has; a queue that ends a
    # job sends SIGTERM to everybody.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    record(json.loads(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # a driver that hangs keeps nobody waiting
