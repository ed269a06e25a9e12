"""Measures inferences: how long calls take, and, with a recorder around them, what they draw."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from harness.energy.measurement import Measurement
from harness.energy.sensors.base import MeterSetup
from harness.errors import UsageError
from harness.network.formats.base import Infer
from harness.settings.settings import EnergySettings

MIN_CALLS = 32
"""In a window: the 99th percentile of fewer would be their maximum, and nothing but."""
WARM_UP_S = 1.0
WARM_UP_CALLS = 3
MAX_USEFUL = 1024
GAIN = 0.95
"""A larger batch is useful as long as a sample takes at most this share of the time before."""
TRIAL_S = 0.2
"""Each size is tried for so long."""


@dataclass(frozen=True)
class Window:
    """Calls of one batch size, and when they were made.

    Attributes:
        batch: Samples of a call.
        start_ns: Of the first call, on the monotonic clock.
        end_ns: Of the end of the last.
        latencies_s: Time of each call, in order.
    """

    batch: int
    start_ns: int
    end_ns: int
    latencies_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Half of the calls took no longer."""
        return statistics.median(self.latencies_s)

    @property
    def p99_s(self) -> float:
        """99 % of the calls took no longer."""
        ordered = sorted(self.latencies_s)
        return ordered[-(-99 * len(ordered) // 100) - 1]


def measure_inferences(
    infer: Infer,
    inputs: Tensor,
    batches: Sequence[int],
    seconds: float,
    trace: Path,
    settings: EnergySettings,
    setup: MeterSetup,
) -> list[Window]:
    """A window per batch size, with a recorder around all of them.

    Args:
        infer: The network in its runtime.
        inputs: Some of its inputs; repeated where a batch is larger.
        batches: Batch sizes.
        seconds: Least length of a window, which has at least 32 calls.
        trace: Where the readings go.
        settings: Which sensors, and how often.
        setup: What the sensors need to know of this process.

    Raises:
        MeasurementError: The recorder does not start.
        UsageError: The runtime cannot run a batch of that size.
    """
    trace.unlink(missing_ok=True)
    windows = []
    with Measurement(trace, settings, setup) as running:
        running.open_window()
        for batch in batches:
            some = batch_of(inputs, batch)
            _calls(infer, some, min(WARM_UP_S, seconds), WARM_UP_CALLS)
            start_ns = running.mark()
            latencies_s = _calls(infer, some, seconds, MIN_CALLS)
            windows.append(Window(batch, start_ns, running.mark(), tuple(latencies_s)))
        running.close_window()
    return windows


def _calls(infer: Infer, inputs: Tensor, seconds: float, least: int) -> list[float]:
    """Call for at least so long, and at least so often; returns the time of each call in s."""
    taken: list[float] = []
    now = begun = time.perf_counter()
    while len(taken) < least or now - begun < seconds:
        infer(inputs)
        before, now = now, time.perf_counter()
        taken.append(now - before)
    return taken


def batch_of(inputs: Tensor, size: int) -> Tensor:
    """The first inputs, repeated as often as necessary."""
    times = -(-size // len(inputs))
    return inputs.repeat(times, *[1] * (inputs.ndim - 1))[:size].contiguous()


def largest_useful_batch(
    infer: Infer,
    inputs: Tensor,
    most: int | None,
    calls: Callable[..., list[float]] = _calls,
) -> int:
    """The batch size up to which doubling it saves time per sample.

    Args:
        infer: The network in its runtime.
        inputs: Some of its inputs.
        most: What the file takes; None for any number.
        calls: Makes calls and times them.
    """

    def per_sample_s(size: int) -> float:
        some = batch_of(inputs, size)
        infer(some)
        return min(calls(infer, some, TRIAL_S, WARM_UP_CALLS)) / size

    best, best_s = 1, per_sample_s(1)
    while 2 * best <= min(most or MAX_USEFUL, MAX_USEFUL):
        try:
            next_s = per_sample_s(2 * best)
        except UsageError:  # it does not fit into memory
            break
        if next_s > GAIN * best_s:
            break
        best, best_s = 2 * best, next_s
    return best
