"""The record of a network's inferences: what was run how often, and when, beside a trace.

A line of `inference.jsonl` in the run's folder is one window: one runtime, one batch size. Energy
is not in it: it follows from the trace that it names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.energy.trace import Trace, read_trace
from harness.energy.window_energy import Measured, measured
from harness.settings.types import MAX_COUNT
from harness.utils.jsonl import read_log

INFERENCES = "inference.jsonl"
TRACE = "inference-trace-{}.jsonl"

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Inferences(BaseModel):
    """One window of inferences.

    Attributes:
        weights_sha256: Of the network, as in its record.
        runtime: What ran it.
        runtime_version: Of that.
        device: "cpu", or the GPU's name.
        threads: Of the CPU.
        batch: Samples of a call.
        calls: How many there were.
        latency_s: Median time of a call.
        latency_p99_s: 99 % of the calls took no longer.
        start_ns: Of the window, on the monotonic clock.
        end_ns: And its end.
        trace: Name of the file of readings.
        wall: When it was measured.
        host: Where.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    weights_sha256: str
    runtime: Literal["pytorch", "onnxruntime", "executorch"]
    runtime_version: str = ""
    device: str
    threads: Count
    batch: Count
    calls: Count
    latency_s: Seconds
    latency_p99_s: Seconds
    start_ns: int
    end_ns: int
    # No path: nothing outside the run's folder is read.
    trace: Annotated[str, Field(pattern=r"^inference-trace-\d{1,9}\.jsonl$")]
    wall: float = 0.0
    host: str = ""

    @property
    def samples(self) -> int:
        """Of all calls."""
        return self.batch * self.calls


def read_inferences(folder: Path) -> list[Inferences]:
    """All that a run's folder records, oldest first; lines that are no such record are left out."""
    found = []
    for line in read_log(folder / INFERENCES):
        try:
            found.append(Inferences.model_validate(line))
        except ValidationError:
            continue
    return found


def energy_of(windows: list[Inferences], folder: Path) -> list[Measured]:
    """The energy of each window, from the traces in the run's folder."""
    traces: dict[str, Trace] = {}
    for each in windows:
        if each.trace not in traces:
            traces[each.trace] = read_trace(folder / each.trace)
    return [measured(traces[each.trace], each.start_ns, each.end_ns) for each in windows]


def source_of(found: Measured) -> str:
    """Whether energy was measured or estimated: the sources of its devices, joined with "+"."""
    return "+".join(sorted({device.source for device in found.devices})) or "none"
