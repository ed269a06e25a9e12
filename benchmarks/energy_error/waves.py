"""The loads that are measured, and how a child lets the stand-in GPU draw them."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from tests.fakes.fake_gpu import FakeGpu

SECOND_NS = 1_000_000_000
IDLE_W = 80.0
SETTLE_S = 1.0
"""The longest period of any load or sensor: a random wait of up to so long leaves no phase out."""
A100 = {
    "counter_update_ms": 100,
    "power_update_ms": 100,
    "power_window_ms": 25,
    "usage_update_ms": 100,
    "usage_window_ms": 25,
    "noise": 0.005,
}
"""Of every trial's GPU. Half a percent of noise in power readings, as real ones have: a tool that
takes equal readings for none at all would else find nothing."""


@dataclass(frozen=True)
class Wave:
    """A load over time.

    Attributes:
        shortest_s: A trial is at least so long ...
        longest_s: ... and at most so long, evenly likely.
        high_w: What is drawn at first.
        period_s: Time from one rise to the next; None: steady.
        duty: Share of a period at `high_w`; the rest is idle.
    """

    shortest_s: float
    longest_s: float
    high_w: float = 400.0
    period_s: float | None = None
    duty: float = 1.0


WAVES = {
    "steady 20 s": Wave(20, 20),
    "square 1 Hz 20 s": Wave(20, 20, period_s=1, duty=0.5),
    "10 % duty 20 s": Wave(20, 20, high_w=600, period_s=1, duty=0.1),
    "10 Hz square 5 s": Wave(5, 5, period_s=0.1, duty=0.5),
    "burst 0.15-1.5 s": Wave(0.15, 1.5),
    "steady 3 s": Wave(3, 3),
}


class Load:
    """One trial: a GPU that draws a wave from the moment it is told to.

    Attributes:
        start_ns: The moment at which the load began, right after the tool's window was opened.
        end_ns: The moment at which it ended, right before the window was closed.
    """

    def __init__(self, gpu: FakeGpu, wave: str, seed: str) -> None:
        self._gpu = gpu
        self._wave = WAVES[wave]
        draw = random.Random(seed)  # noqa: S311 - a trial's phase is no secret
        self._settle_s = draw.uniform(0, SETTLE_S)
        self._length_ns = round(
            draw.uniform(self._wave.shortest_s, self._wave.longest_s) * SECOND_NS
        )
        self.start_ns = self.end_ns = 0

    @property
    def uuid(self) -> str:
        """The GPU's, as NVML names it."""
        return self._gpu.uuid

    def settle(self) -> None:
        """Wait a little at random, so that no phase of a sensor is favoured."""
        time.sleep(self._settle_s)

    def work(self) -> None:
        """What the window is opened around, as a training script would call its work."""
        wave, gpu = self._wave, self._gpu
        self.start_ns = now_ns = time.monotonic_ns()
        planned_ns = now_ns + self._length_ns
        gpu.draw(wave.high_w, now_ns)
        if wave.period_s:
            period_ns = round(wave.period_s * SECOND_NS)
            for rise_ns in range(now_ns, planned_ns, period_ns):
                gpu.draw(wave.high_w, rise_ns)
                fall_ns = rise_ns + round(period_ns * wave.duty)
                if fall_ns < planned_ns:
                    gpu.draw(IDLE_W, fall_ns)
        time.sleep(max(planned_ns - time.monotonic_ns(), 0) / SECOND_NS)
        self.end_ns = time.monotonic_ns()
        gpu.draw(IDLE_W, self.end_ns)

    def truth_j(self) -> float:
        """What was drawn."""
        return self._gpu.truth_j(self.start_ns, self.end_ns)
