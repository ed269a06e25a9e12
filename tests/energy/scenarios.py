"""Sensor models, waveforms, and windows of them recorded in virtual time.

What tests and `benchmarks/energy_coverage.py` draw their windows from. All is seeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pynvml

from harness.energy.health import Health
from harness.energy.integration.curve import Joules
from harness.energy.integration.windows import curves
from harness.energy.sensors.nvml import GAIN_UNCERTAINTY
from harness.energy.trace import Trace
from tests.energy.virtual import SECOND, gpu_meters, record
from tests.fakes.fake_gpu import FakeGpu, square
from tests.fakes.stand_in import StandIn

START_NS = 10 * SECOND
IDLE_W = 80.0
LIMIT_W = 700.0
"""The boards' limit: above all that the waveforms draw."""

MODELS: dict[str, dict[str, float]] = {
    "a100": {"power_update_ms": 100, "power_window_ms": 25},
    "volta": {
        "architecture": pynvml.NVML_DEVICE_ARCH_VOLTA,
        "compute_major": 7,
        "fields_supported": 0,
        "usage_update_ms": 20,
        "usage_window_ms": 10,
        "counter_update_ms": 20,
    },
    "turing": {
        "architecture": pynvml.NVML_DEVICE_ARCH_TURING,
        "compute_major": 7,
        "compute_minor": 5,
        "fields_supported": 0,
        "usage_update_ms": 100,
        "usage_window_ms": 100,
    },
    "consumer ampere": {"compute_minor": 6, "power_update_ms": 100, "power_window_ms": 100},
    "1 s average": {"compute_minor": 6, "fields_supported": 0},
}
SLOW_MODELS: dict[str, dict[str, float]] = {
    "counter of 250 ms": {**MODELS["a100"], "counter_update_ms": 250},
    "counter of 1 s": {**MODELS["a100"], "counter_update_ms": 1000},
}
"""Counters slower than any known, as of other makers."""
"""Settings of the stand-in; counters are updated every 100 ms unless stated otherwise."""

Wave = Callable[[np.random.Generator, FakeGpu, int], list[int]]
"""Lets a GPU draw a load from a moment on, and returns the borders that a run would announce."""


@contextmanager
def machine(
    library: Path, folder: Path, power_w: Sequence[float] = (IDLE_W,), **settings: float
) -> Iterator[StandIn]:
    """A machine of virtual time, in the driver's place within this process."""
    settings = {"power_limit_enforced_w": LIMIT_W, **settings}
    made = StandIn(folder / "state", power_w=power_w, clock_ns=START_NS, **settings)
    made.load(library)
    pynvml.nvmlInit()
    try:
        yield made
    finally:
        made.clear_faults()
        pynvml.nvmlShutdown()
        made.close()


def _high_w(rng: np.random.Generator) -> float:
    return float(rng.choice([300.0, 400.0, 600.0]))


def _lasting(rng: np.random.Generator, least_s: float, most_s: float, start_ns: int) -> int:
    return start_ns + round(rng.uniform(least_s, most_s) * SECOND)


def steady(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    end_ns = _lasting(rng, 1, 20, start_ns)
    gpu.draw(_high_w(rng), start_ns)
    gpu.draw(IDLE_W, end_ns)
    return [start_ns, end_ns]


def burst(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    end_ns = _lasting(rng, 0.15, 1.5, start_ns)
    gpu.draw(_high_w(rng), start_ns)
    gpu.draw(IDLE_W, end_ns)
    return [start_ns, end_ns]


def _square(period_s: float, duty: float) -> Wave:
    def wave(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
        end_ns = _lasting(rng, 3, 20, start_ns)
        square(gpu, start_ns, end_ns, period_s, duty, _high_w(rng), IDLE_W)
        return [start_ns, end_ns]

    return wave


def any_period(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    """A square of any period and duty: of a frequency that has nothing to do with the sensor's."""
    end_ns = _lasting(rng, 1, 20, start_ns)
    period_s = float(np.exp(rng.uniform(np.log(0.02), np.log(1.0))))
    square(gpu, start_ns, end_ns, period_s, rng.uniform(0.1, 0.9), _high_w(rng), IDLE_W)
    return [start_ns, end_ns]


def in_step_s(gpu: FakeGpu) -> float:
    """The period of a load in step with a GPU's power sensor."""
    update_ms = gpu.power_update_ms if gpu.fields_supported else gpu.usage_update_ms
    return float(update_ms) / 1000


def locked(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    """In step with the power sensor (10 Hz for most), on for any share of the time."""
    end_ns = _lasting(rng, 1, 20, start_ns)
    square(gpu, start_ns, end_ns, in_step_s(gpu), rng.uniform(0.1, 0.9), _high_w(rng), IDLE_W)
    return [start_ns, end_ns]


def locked_with_pauses(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    """In step for half a second, then half a second of rest: its readings vary nevertheless."""
    end_ns = _lasting(rng, 3, 20, start_ns)
    duty, high_w = rng.uniform(0.1, 0.9), _high_w(rng)
    for begin_ns in range(start_ns, end_ns, SECOND):
        until_ns = min(begin_ns + SECOND // 2, end_ns)
        square(gpu, begin_ns, until_ns, in_step_s(gpu), duty, high_w, IDLE_W)
    gpu.draw(IDLE_W, end_ns)
    return [start_ns, end_ns]


def phases(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    """Steady phases of any power, each announced."""
    borders = [start_ns]
    for _ in range(rng.integers(2, 9)):
        gpu.draw(rng.uniform(100, 600), borders[-1])
        borders.append(_lasting(rng, 0.15, 2, borders[-1]))
    gpu.draw(IDLE_W, borders[-1])
    return borders


def jitter(rng: np.random.Generator, gpu: FakeGpu, start_ns: int) -> list[int]:
    """Steps of uneven length and power, as of a training."""
    end_ns, high_w = _lasting(rng, 2, 15, start_ns), _high_w(rng)
    now_ns = start_ns
    while now_ns < end_ns:
        gpu.draw(rng.normal(high_w, 0.1 * high_w), now_ns)
        now_ns = _lasting(rng, 0.01, 0.3, now_ns)
    gpu.draw(IDLE_W, now_ns)
    return [start_ns, end_ns]


WAVES: dict[str, Wave] = {
    "steady": steady,
    "burst": burst,
    "1 Hz square": _square(1.0, 0.5),
    "10 % duty": _square(1.0, 0.1),
    "phases": phases,
    "jitter": jitter,
    "any period": any_period,
    "locked": locked,
    "locked, pauses": locked_with_pauses,
}
LOCKED = ("locked", "locked, pauses")
"""Loads that a sensor which looks 25 of every 100 ms cannot see as they are."""


class Drawn(NamedTuple):
    """One window, as it was and as it was found.

    Attributes:
        wave: Its waveform.
        truth_j: What was drawn.
        sensed_j: What a sensor with this one's gain, but else perfect, had found.
        joules: What was found.
        flags: What casts doubt on it.
    """

    wave: str
    truth_j: float
    sensed_j: float
    joules: Joules
    flags: tuple[str, ...]

    @property
    def rest_j(self) -> float:
        """The stated uncertainty without the sensor's gain."""
        return self.joules.without_gain_j

    @property
    def is_covered(self) -> bool:
        """Whether the truth is within the stated uncertainty."""
        return abs(self.joules.energy_j - self.truth_j) <= self.joules.uncertainty_j

    @property
    def rest_is_covered(self) -> bool:
        """The same without the sensor's gain, on either side."""
        return abs(self.joules.energy_j - self.sensed_j) <= self.rest_j

    @property
    def error(self) -> float:
        """Relative error beside the sensor's gain."""
        return (self.joules.energy_j - self.sensed_j) / self.sensed_j


def imperfect(rng: np.random.Generator, gpu: FakeGpu) -> None:
    """Draw all that differs from board to board and from start to start."""
    gpu.counter_phase_ms, gpu.power_phase_ms = rng.uniform(0, 100, 2)
    gpu.counter_latency_ms, gpu.power_latency_ms = rng.uniform(0, 10, 2)
    gpu.noise, gpu.noise_seed = 0.005, int(rng.integers(2**31))
    gpu.gain = rng.normal(1, GAIN_UNCERTAINTY / 1.96)


def window(
    library: Path,
    folder: Path,
    model: str,
    wave: str,
    seed: int,
    *,
    counter: bool = True,
    boards: int = 1,
    call_ms: float = 0.0,
) -> Drawn:
    """Record one window of a waveform with one model of sensor.

    Args:
        library: The stand-in driver.
        folder: For its state.
        model: Of `MODELS` or `SLOW_MODELS`.
        wave: Of `WAVES`.
        seed: Of all that is drawn.
        counter: Whether boards have an energy counter.
        boards: How many there are; the last one draws the wave.
        call_ms: How long a call of the driver takes.
    """
    rng = np.random.default_rng(seed)
    settings = {**(MODELS | SLOW_MODELS)[model], "counter_supported": int(counter)}
    with machine(library, folder, [IDLE_W] * boards, **settings) as stand_in:
        for gpu in stand_in.gpus:
            imperfect(rng, gpu)
        borders = WAVES[wave](rng, gpu, START_NS + int(rng.integers(12 * SECOND, 13 * SECOND)))
        meters = gpu_meters()
        if call_ms:
            stand_in.fault(0, "nvmlDevice", hang_ms=call_ms)
        trace, _ = record(stand_in, meters, borders)
        start_ns, end_ns = rng.choice(list(pairwise(borders))).tolist()
        truth_j = gpu.truth_j(start_ns, end_ns)
        (curve,) = [each for each in curves(trace, borders) if each.sensor.device == gpu.uuid]
        flags = tuple(Health(trace, start_ns, end_ns).flags)
        found = curve.between(start_ns, end_ns)
        return Drawn(wave, truth_j, truth_j * gpu.gain, found, flags)


def between(trace: Trace, borders: Sequence[int], start_ns: int, end_ns: int) -> Joules:
    """A window's energy of a trace of one device."""
    (curve,) = curves(trace, borders)
    return curve.between(start_ns, end_ns)
