"""A running trace, followed: joules so far and watts now, without keeping what was read."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from harness.energy.meter import Sensor
from harness.energy.windows import chosen
from harness.log import LogReader

RECENT_NS = 1_000_000_000
"""Over how long the power now is averaged."""


class LiveEnergy:
    """Follows the trace of one attempt."""

    def __init__(self, path: Path) -> None:
        self._reader = LogReader(path)
        self._sensors: list[Sensor] = []
        self._chosen: set[int] = set()
        self._last: dict[int, tuple[int, float]] = {}
        self._steps: deque[tuple[int, int, float]] = deque()  # from, to, J
        self.energy_j = 0.0

    @property
    def source(self) -> str:
        """Where the figure comes from; "" before the first reading."""
        return "+".join(sorted({self._sensors[number].source for number in self._chosen}))

    @property
    def power_w(self) -> float:
        """Mean power over the last second, or the last step between readings if it is longer."""
        if not self._steps:
            return 0.0
        covered_ns = self._steps[-1][1] - self._steps[0][0]
        return sum(step_j for _, _, step_j in self._steps) / max(covered_ns * 1e-9, 1e-9)

    def update(self) -> None:
        """Read what was appended since the last call."""
        for line in self._reader.new():
            if isinstance(line, list):
                self._add(line[0], line[1], line[2])
            elif "sensors" in line:
                self._begin([Sensor(**sensor) for sensor in line["sensors"]])

    def _begin(self, sensors: list[Sensor]) -> None:
        self._sensors = sensors
        self._chosen = set(chosen(sensors))
        self._last.clear()
        self._steps.clear()
        self.energy_j = 0.0

    def _add(self, number: int, time_ns: int, value: Any) -> None:
        if number not in self._chosen or value is None:
            return
        before_ns, before = self._last.get(number, (time_ns, value))
        self._last[number] = (time_ns, value)
        if self._sensors[number].quantity == "energy":
            step_j = max(value - before, 0.0)
        else:
            step_j = (value + before) / 2 * (time_ns - before_ns) * 1e-9
        self.energy_j += step_j
        self._steps.append((before_ns, time_ns, step_j))
        while time_ns - self._steps[0][1] >= RECENT_NS:
            self._steps.popleft()
