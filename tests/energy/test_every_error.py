"""Every error that NVML can answer with, at every call that the recorder makes: all survived."""

from __future__ import annotations

import itertools
import math
import os
import random
import re
from pathlib import Path

import pynvml
import pytest

from harness.energy.health import Health
from harness.energy.recorder.conditions import Conditions, Neighbours
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import trace_of
from harness.energy.window_energy import measured
from tests.conftest import Cases
from tests.energy.virtual import SECOND, Lines, VirtualSignals
from tests.fakes.stand_in import StandIn

CODES = sorted({v for name, v in vars(pynvml).items() if re.match(r"NVML_ERROR_[A-Z0-9_]+$", name)})
CALLS = sorted(
    {
        call
        for module in (nvml, nvml)
        for call in re.findall(r"pynvml\.(nvml[A-Z]\w+)", Path(module.__file__).read_text())
        if callable(getattr(pynvml, call, None))
    }
)
EVERY_CALL = ""
MOMENTS = ("from the start", "under way", "for a while", "once")
WINDOW_S = 8


def record(machine: StandIn, code: int, call: str, moment: str) -> str:
    """Record a window in which the driver fails so; how it was measured."""
    start_ns = machine.clock_ns
    begin_ns = start_ns + 4 * SECOND
    span = {
        "from the start": (start_ns, 2**62),
        "under way": (begin_ns + 2 * SECOND, 2**62),
        "for a while": (begin_ns + 2 * SECOND, begin_ns + 5 * SECOND),
        "once": (begin_ns + 2 * SECOND, begin_ns + 2 * SECOND + 60_000_000),
    }[moment]
    machine.fault(code, call, from_ns=span[0], until_ns=span[1])
    found = nvml.find(MeterSetup(os.getpid(), None, 4.0, ""))
    log, signals = Lines(), VirtualSignals(machine, [])
    sensors = [meter.sensor.to_json() for meter in found.meters]
    log.append({"sensors": sensors, "notes": list(found.notes), "period_s": 0.05})
    neighbours = Neighbours(os.getpid())
    writer = TraceWriter(log)
    recording = Recording(found.meters, found.observers, writer, signals, SECOND // 20, neighbours)
    recording.get_to_know(SECOND)
    writer.event(Conditions(found.observers, neighbours).look())
    begin_ns = max(begin_ns, machine.clock_ns)
    end_ns = begin_ns + WINDOW_S * SECOND
    signals.plan([begin_ns, end_ns], end_ns)
    recording.read()
    machine.clear_faults()
    trace = trace_of(log.lines)
    result = measured(trace, begin_ns, end_ns)
    truth_j = sum(gpu.truth_j(begin_ns, end_ns) for gpu in machine.gpus)
    joules = result.joules
    assert math.isfinite(joules.energy_j)
    assert 0 <= joules.coverage <= 1
    if not result.devices:
        assert trace.notes
        return "reported as missing"
    assert all(device.source == "simulated" for device in result.devices)
    if joules.coverage > 0:
        assert abs(joules.energy_j - truth_j) <= joules.uncertainty_j
    flags = Health(trace, begin_ns, end_ns).flags
    if joules.coverage < 0.99:
        assert any(str(pynvml.NVMLError(code)) in text for text in (*flags, *trace.notes))
        return "a gap with its reason"
    return "measured"


@pytest.mark.torture
def test_every_error_at_every_call_is_survived(virtual, cases: Cases) -> None:
    assert len(CODES) > 25
    assert len(CALLS) > 20
    every = list(itertools.product(CODES, [*CALLS, EVERY_CALL], MOMENTS))
    chance = random.Random(15)
    chosen = chance.sample(every, cases(60, len(every)))
    machine = virtual(gpus=1, power_w=250.0)
    machine.gpus[0].processes = {os.getpid(): 1}
    outcomes: dict[str, int] = {}
    for code, call, moment in chosen:
        try:
            outcome = record(machine, code, call, moment)
        except BaseException:
            print(f"code {code} at {call}, {moment}")  # noqa: T201 - to find it again
            raise
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print(  # noqa: T201 - the figure
        f"{len(chosen)} of {len(CODES)} codes x {len(CALLS) + 1} calls x {len(MOMENTS)} moments: "
        f"all survived {outcomes}"
    )
