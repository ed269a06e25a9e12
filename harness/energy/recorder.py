"""The recorder: a small process of its own that reads every meter and appends to the trace.

Started as `python -m harness.energy.recorder CONFIG`, with CONFIG as JSON. It prints "ready" once
its first readings are on file, and ends, after a last reading, when its standard input closes: so
it never outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from harness.energy import estimate, nvml, rapl
from harness.energy.meter import Finder, Meter, MeterSetup
from harness.log import LogWriter

FINDERS: dict[str, Finder] = {
    "nvml": nvml.find,
    "rapl": rapl.find,
    "estimate": estimate.find,
}
"""From the kind of meter, as a study names it, to what finds such meters on this machine."""

COUNTER_UPDATE_S = 0.25
"""Longer than any known energy counter of a GPU takes from one update to the next (0.1 s)."""


def record(config: dict[str, Any]) -> None:
    """Read all meters every `period_s` until standard input closes.

    Args:
        config: `trace` (path), `meters` (kinds), `period_s`, and `setup` for `MeterSetup`.
    """
    setup = MeterSetup(**config["setup"])
    found = [FINDERS[kind](setup) for kind in config["meters"]]
    meters = [meter for each in found for meter in each.meters]
    trace = LogWriter(Path(config["trace"]))
    trace.append(
        {
            "sensors": [meter.sensor.to_json() for meter in meters],
            "notes": [each.note for each in found if each.note],
            "period_s": config["period_s"],
            "recorder_pid": os.getpid(),
        }
    )
    _read_all(meters, trace)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not _input_closes_within(config["period_s"]):
        _read_all(meters, trace)
    _read_on(meters, trace, config["period_s"])
    trace.append({"end": time.monotonic_ns()}, durable=True)


def _read_on(meters: list[Meter], trace: LogWriter, period_s: float) -> None:
    """Read until every counter has shown what was drawn up to now; an estimate shows it at once."""
    counters = any(meter.sensor.source != "estimated" for meter in meters)
    ends = time.monotonic() + (COUNTER_UPDATE_S if counters else 0.0)
    _read_all(meters, trace)
    while time.monotonic() < ends:
        time.sleep(min(period_s, COUNTER_UPDATE_S))
        _read_all(meters, trace)


def _read_all(meters: list[Meter], trace: LogWriter) -> None:
    for number, meter in enumerate(meters):
        sample = meter.sample()
        line: list[Any] = [number, sample.time_ns, sample.value]
        trace.append([*line, sample.error] if sample.error else line)


def _input_closes_within(seconds: float) -> bool:
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable)


if __name__ == "__main__":
    # The recorder stops when its starter says so, and not before the run has.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    record(json.loads(sys.argv[1]))
