"""Days of recording: memory stays flat, and the trace grows as predicted."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import psutil
import pytest

from harness.energy.integration.windows import curves, total
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.size import BUSY_BYTES, PACKED, trace_bytes, weak_counters
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import read_trace, trace_of
from harness.energy.trace_file import pack
from harness.utils.jsonl import LogWriter
from tests.conftest import Cases
from tests.energy.virtual import SECOND, Lines, VirtualSignals, gpu_meters
from tests.fakes.fake_gpu import square

PERIOD_S = 0.05
FLAT_BYTES = 5 * 2**20
BORDER_S = 30
HOUR_S = 3600


class Changing(VirtualSignals):
    """A card whose whole state changes all the time."""

    def now_ns(self) -> int:
        now_ns = super().now_ns()
        self._machine.gpus[0].temperature_c = 40 + now_ns // SECOND % 7
        self._machine.gpus[0].utilisation_percent = now_ns // SECOND % 97
        return now_ns


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"counter_update_ms": 20},
        {"counter_update_ms": 250},
        {"counter_update_ms": 1000},
        {"counter_supported": 0},
        {"read_cost_ms": 15},
    ],
    ids=str,
)
def test_a_trace_grows_by_no_more_than_is_stated_and_not_by_much_less(settings, virtual) -> None:
    machine = virtual(power_update_ms=1, power_window_ms=1, noise=0.02, **settings)
    found = nvml.find(MeterSetup(1, None, 4.0, ""))
    log, signals = Lines(), Changing(machine, [])
    sensors = [meter.sensor for meter in found.meters]
    log.append({"sensors": [each.to_json() for each in sensors], "notes": [], "period_s": PERIOD_S})
    recording = Recording(
        found.meters, found.observers, TraceWriter(log), signals, round(PERIOD_S * SECOND)
    )
    recording.get_to_know(SECOND)
    known, seconds = len(log.lines), 100
    signals.plan([], machine.clock_ns + seconds * SECOND)
    recording.read()
    size = sum(len(json.dumps(line, separators=(",", ":"))) + 1 for line in log.lines[known:])
    predicted = trace_bytes(sensors, PERIOD_S, seconds, weak_counters(trace_of(log.lines)))
    assert 0.65 * predicted < size <= predicted


class Measuring(VirtualSignals):
    """Notes this process' memory every virtual minute."""

    def __init__(self, machine) -> None:
        super().__init__(machine, [])
        self.memory: list[int] = []
        self._next_ns = machine.clock_ns

    def wait(self, until_ns: int) -> bool:
        if self._machine.clock_ns >= self._next_ns:
            gc.collect()
            self.memory.append(psutil.Process().memory_info().rss)
            self._next_ns += 600 * SECOND
        return super().wait(until_ns)


@pytest.mark.torture
def test_memory_stays_flat_and_the_trace_is_as_large_as_predicted(
    virtual, tmp_path: Path, cases: Cases
) -> None:
    hours = cases(1, 24)
    machine = virtual(noise=0.05)  # no two readings of power are equal
    seconds = hours * HOUR_S
    stop_ns = machine.clock_ns + seconds * SECOND
    square(machine.gpus[0], machine.clock_ns, stop_ns, 60, 0.7, 380.0, 90.0)
    meters = gpu_meters()
    path = tmp_path / "trace-1.jsonl"
    log = LogWriter(path)
    sensors = [meter.sensor for meter in meters]
    log.append({"sensors": [s.to_json() for s in sensors], "notes": [], "period_s": PERIOD_S})
    signals = Measuring(machine)
    recording = Recording(meters, [], TraceWriter(log), signals, round(PERIOD_S * SECOND))
    recording.get_to_know(2 * SECOND)
    begin_ns = machine.clock_ns
    end_ns = begin_ns + seconds * SECOND
    signals.plan(range(begin_ns, end_ns, BORDER_S * SECOND), end_ns)
    recording.read()
    log.close()
    grown = max(signals.memory) - signals.memory[len(signals.memory) // 24 or 1]
    size, predicted = path.stat().st_size, trace_bytes(sensors, PERIOD_S, seconds)
    predicted -= BUSY_BYTES * seconds  # nothing observes how busy the card is
    drawn = total(c.between(begin_ns, end_ns) for c in curves(read_trace(path), (begin_ns, end_ns)))
    truth_j = machine.gpus[0].truth_j(begin_ns, end_ns)
    packed = pack(path).stat().st_size
    print(  # noqa: T201 - the figures
        f"{hours} h: memory grew by {grown / 2**20:.2f} MiB; trace {size / 1e6:.1f} MB, predicted "
        f"{predicted / 1e6:.1f} MB, packed {packed / 1e6:.1f} MB; {drawn.energy_j / 3.6e6:.4f} kWh "
        f"of {truth_j / 3.6e6:.4f} kWh"
    )
    assert grown < FLAT_BYTES
    assert 0.65 * predicted < size <= predicted  # without observers no states and no load
    assert packed <= PACKED * predicted
    assert drawn.energy_j == pytest.approx(truth_j, rel=1e-3)
