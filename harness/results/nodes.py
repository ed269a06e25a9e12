"""What all nodes of an attempt drew, on the first node's clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.energy.trace import Readings, Trace, read_trace
from harness.results.folder import RunFolder
from harness.results.journal import Attempt


def attempt_trace(folder: RunFolder, attempt: Attempt) -> Trace:
    """The trace of an attempt; of several nodes, one of all their sensors.

    Each node has a recorder and a clock of its own. The clocks were compared when the attempt began
    and when it ended; between the two the offset is taken to grow evenly, as quartz does. What
    recorders of other nodes told beside their readings stays in their files.
    """
    trace = read_trace(folder.trace(attempt.number))
    seen: dict[int, list[dict[str, Any]]] = {}
    for event in attempt.events:
        if event["event"] == "clocks":
            for each in event["nodes"]:
                seen.setdefault(int(each["node"]), []).append(each)
    for node, offsets in sorted(seen.items()):
        trace = _joined(trace, read_trace(folder.trace(attempt.number, node)), node, offsets)
    return trace


def _joined(trace: Trace, other: Trace, node: int, offsets: list[dict[str, Any]]) -> Trace:
    """The first trace with the sensors of another node's beside its own."""
    known = {each.sensor.device for each in trace.readings}
    before = len(trace.readings)
    missing = () if other.readings else (f"node {node}: no trace, so that its energy is missing",)
    return replace(
        trace,
        readings=(*trace.readings, *_moved(other.readings, node, offsets, known)),
        notes=(*trace.notes, *(f"node {node}: {note}" for note in other.notes), *missing),
        falsified={
            **trace.falsified,
            **{before + sensor: share for sensor, share in other.falsified.items()},
        },
    )


def _moved(
    readings: Iterable[Readings], node: int, offsets: list[dict[str, Any]], known: set[str]
) -> Iterable[Readings]:
    at_ns = np.array([each["time_ns"] for each in offsets], dtype=np.int64)
    ahead_ns = np.array([each["offset_ns"] for each in offsets], dtype=np.int64)

    def here(time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        # From the first moment on, since floats hold no nanoseconds of years.
        since = (time_ns - ahead_ns[0] - at_ns[0]).astype(np.float64)
        drift = np.interp(since, at_ns - at_ns[0], ahead_ns - ahead_ns[0])
        moved: NDArray[np.int64] = time_ns - ahead_ns[0] - np.round(drift).astype(np.int64)
        return moved

    for each in readings:
        device = each.sensor.device
        sensor = replace(each.sensor, device=f"node {node} {device}" if device in known else device)
        yield replace(
            each, sensor=sensor, time_ns=here(each.time_ns), failed_ns=here(each.failed_ns)
        )
