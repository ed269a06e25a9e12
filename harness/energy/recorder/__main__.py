"""Runs the recorder: a small process of its own that reads every meter and appends to the trace.

Started as `python -m harness.energy.recorder CONFIG`, with CONFIG as JSON. It prints a JSON line
once it knows the sensors and its first readings are on file, and ends, after its last readings,
when a byte comes on its standard input, when that closes, or when the process that started it is
gone: so it never outlives it, even if a fork of that process holds the pipe open.

A recorder that replaces one that died continues the same trace. It numbers its sensors as the first
one did, so that readers of the trace see one recording; the time in between is a gap, marked by a
failed reading of every sensor.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from harness.energy.recorder.clock import PipeSignals
from harness.energy.recorder.conditions import Conditions, Neighbours
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.timeouts import found, patient
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors.base import Found, Meter, MeterSetup, Observer, Sensor, SensorError
from harness.energy.sensors.discover import finder
from harness.energy.sensors.process_tree import HostObserver
from harness.utils.jsonl import LogReader, LogWriter

SWITCH_S = 0.0005
"""After this time a thread that computes yields to one that waits to read a sensor."""


def record(config: dict[str, Any]) -> None:
    """Record until a byte comes on standard input, it closes, or the starter is gone.

    Args:
        config: `trace` (path), `meters` (kinds), `period_s`, `idle_s`, `cool_down_c`, `borders` (a
            file descriptor, or none), `setup` for `MeterSetup`, `continues`: whether it replaces
            a recorder that died during the run, and `starter`: the process that
            started it, if that is not its parent's.
    """
    sys.setswitchinterval(SWITCH_S)
    setup = MeterSetup(**config["setup"])
    kinds = [found(kind, finder(kind), setup) for kind in config["meters"]]
    kinds = one_meter_of_the_machine(kinds)
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
        trace.event({"continues": signals.now_ns(), "notes": notes, "recorder_pid": os.getpid()})
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
            trace.event(cooled)
        recording.get_to_know(round(config["idle_s"] * 1e9))
        ready = conditions.look()
        trace.event(ready)
        with contextlib.suppress(BrokenPipeError):  # who started this may be gone already
            os.write(sys.stdout.fileno(), json.dumps(ready).encode() + b"\n")
    gc.freeze()  # what exists by now stays: the garbage collector need not look at it again
    recording.read()


def _host(process_id: int) -> list[Observer]:
    """The observer of the machine; none if the run is gone already."""
    try:
        return [HostObserver(process_id)]
    except (psutil.Error, SensorError, OSError):
        return []


def one_meter_of_the_machine(kinds: Sequence[Found]) -> list[Found]:
    """The same, without the machine's meters of all kinds but the first that has any.

    Two kinds, such as a plug and a battery, measure the same joules. Of one kind there may be
    several, such as the plugs of two power supplies.
    """
    left, first = [], None
    for each in kinds:
        of_machine = [meter for meter in each.meters if meter.sensor.is_of_machine]
        if not of_machine or first is None:
            first = first or next(iter(of_machine), None)
            left.append(each)
            continue
        name, other = of_machine[0].sensor.name, first.sensor.name
        note = f"{name}: left out, since {other} measures the machine, too, and is named before it"
        parts = [meter for meter in each.meters if not meter.sensor.is_of_machine]
        left.append(replace(each, meters=parts, notes=(*each.notes, note)))
    return left


def owned(meter: Meter, setup: MeterSetup) -> Meter:
    """The meter, its sensor marked as the run's own or not.

    A model of the run's own processes is the run's wherever it runs. The machine and its parts are
    never added up: one of them is the run's, and the other is read beside it.
    """
    sensor = meter.sensor
    if sensor.is_of_machine and not setup.own_host:
        meter.sensor = replace(sensor, owner="host")
    elif sensor.is_of_machine != (setup.scope == "machine"):
        meter.sensor = replace(sensor, owner="machine" if sensor.is_of_machine else "part")
    elif sensor.device in setup.spare_gpus:
        meter.sensor = replace(sensor, owner="spare")
    elif sensor.kind in ("cpu", "dram") and not sensor.is_estimate and not setup.own_host:
        meter.sensor = replace(sensor, owner="host")
    return meter


RESTARTED = "the recorder was restarted"


@dataclass
class _Lost:
    """In place of the meter of a sensor that is gone."""

    sensor: Sensor

    def read(self) -> float:
        """Fail."""
        raise SensorError("gone since the recorder was restarted")


def sensors_in(trace: Path) -> list[Sensor]:
    """The sensors in the trace's last header; none without a header."""
    found: list[Sensor] = []
    for line in LogReader(trace).new():
        if isinstance(line, dict) and "sensors" in line:
            found = [Sensor.from_json(each) for each in line["sensors"]]
    return found


def in_their_places(meters: Sequence[Meter], sensors: Sequence[Sensor]) -> list[Meter]:
    """The meters of the same sensors in the same order; what else was found is left out."""
    by_identity: dict[tuple[str, ...], Meter] = {_identity(meter.sensor): meter for meter in meters}
    return [by_identity.get(_identity(sensor)) or _Lost(sensor) for sensor in sensors]


def _identity(sensor: Sensor) -> tuple[str, ...]:
    return sensor.device, sensor.quantity, sensor.part, sensor.note


if __name__ == "__main__":
    # The recorder stops when its starter asks for it, after the run; a queue that ends a job sends
    # SIGTERM to all of its processes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    record(json.loads(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads that hang in a driver
