"""An hour's trace, recorded by the harness's own recorder in virtual time from a stand-in GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness.energy.recorder.conditions import Conditions, Neighbours
from harness.energy.recorder.recording import Recording
from harness.energy.recorder.trace_writer import TraceWriter
from harness.energy.sensors import nvml
from harness.energy.sensors.base import MeterSetup, Observer
from tests.energy.scenarios import IDLE_W, START_NS, machine
from tests.energy.virtual import READ_NS, SECOND, Lines, VirtualSignals
from tests.fakes.stand_in import StandIn

BEGINS_NS = START_NS + 10 * SECOND
"""When the run begins; before, the recorder gets to know the sensors."""
PERIOD_S = 0.05
PIECE_NS = SECOND // 8
"""Power changes this often while a network trains."""
POWERS_W = {"evaluation": 310.0, "checkpoint": 120.0, "test": 310.0, "overhead": 110.0}
TRAINING_W = 540.0


def recorded(
    library: Path, folder: Path, windows: Sequence[tuple[int, str]], end_ns: int, seed: int
) -> list[Any]:
    """The lines of the trace of a run.

    Args:
        library: The stand-in, compiled.
        folder: For its state.
        windows: When each begins and its label; the first at `BEGINS_NS`.
        end_ns: When the run ends.
        seed: Of all that is random.
    """
    rng = np.random.default_rng(seed)
    with machine(library, folder, noise=0.005, noise_seed=seed) as stand_in:
        _draw(rng, stand_in, windows, end_ns)
        found = nvml.find(MeterSetup(1, None, 4.0, ""))
        log = Lines()
        log.append(
            {
                "sensors": [meter.sensor.to_json() for meter in found.meters],
                "notes": [],
                "period_s": PERIOD_S,
                "recorder_pid": 1,
            }
        )
        signals = VirtualSignals(stand_in, [])
        observers = [_Warming(each, stand_in) for each in found.observers]
        trace, period_ns = TraceWriter(log), round(PERIOD_S * SECOND)
        alone = Neighbours(1)
        recording = Recording(found.meters, observers, trace, signals, period_ns, alone)
        recording.get_to_know(2 * SECOND)
        trace.event(Conditions(observers, alone).look())
        signals.plan([start_ns for start_ns, _ in windows], end_ns + READ_NS)
        recording.read()
    return log.lines


def _draw(
    rng: np.random.Generator, made: StandIn, windows: Sequence[tuple[int, str]], end_ns: int
) -> None:
    """Let the GPU draw what a run with these windows draws."""
    (gpu,) = made.gpus
    for (start_ns, label), (until_ns, _) in pairwise([*windows, (end_ns, "")]):
        power_w = POWERS_W.get(label, TRAINING_W)
        for moment_ns in range(start_ns, until_ns, PIECE_NS):
            gpu.draw(max(rng.normal(power_w, 0.05 * power_w), IDLE_W), moment_ns)
    gpu.draw(IDLE_W, end_ns)


@dataclass(frozen=True)
class _Warming:
    """Watches a board whose temperature and clocks wander."""

    board: Observer
    machine: StandIn

    @property
    def device(self) -> str:
        return self.board.device

    def settings(self) -> dict[str, Any]:
        return self.board.settings()

    def state(self) -> dict[str, Any]:
        minutes = self.machine.clock_ns / SECOND / 60
        (gpu,) = self.machine.gpus
        gpu.temperature_c = round(62 + 8 * math.sin(minutes / 4))
        gpu.clock_mhz = round(1400 + 60 * math.sin(minutes))
        gpu.utilisation_percent = round(90 + 9 * math.sin(3 * minutes))
        return self.board.state()
