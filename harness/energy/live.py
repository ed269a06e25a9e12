"""Follows a running trace: joules so far and watts now, without keeping the readings."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from harness.energy.integration.windows import chosen
from harness.energy.sensors.base import FRESH_S, Sensor
from harness.utils.jsonl import LogReader

RECENT_NS = 1_000_000_000
"""Over how long the power now is averaged."""


class LiveEnergy:
    """Follows the trace of one attempt."""

    def __init__(self, path: Path) -> None:
        self._reader = LogReader(path)
        self._followed: list[_Followed] = []
        self._falsified: set[int] = set()

    @property
    def energy_j(self) -> float:
        """Joules since the first reading."""
        return sum(each.energy_j for each in self._chosen())

    @property
    def source(self) -> str:
        """Where the figure comes from; "" before the first reading."""
        return "+".join(sorted({each.sensor.source for each in self._chosen()}))

    @property
    def power_w(self) -> float:
        """Mean power over the last second, or the last step between readings if it is longer."""
        return sum(each.power_w for each in self._chosen())

    def update(self) -> None:
        """Read what was appended since the last call."""
        for line in self._reader.new():
            if isinstance(line, list):
                if line[2] is not None:
                    self._followed[line[0]].add(line[1], line[2])
            elif "sensors" in line:
                self._followed = [_Followed(Sensor.from_json(each)) for each in line["sensors"]]
                self._falsified.clear()
            elif "falsified" in line:
                self._falsified.add(line["falsified"])
            elif "conditions" in line:
                for each in self._followed:
                    each.begin()

    def _chosen(self) -> list[_Followed]:
        # Whether a counter can be used is known only after its first readings, so all are followed.
        heard = [
            number
            for number, each in enumerate(self._followed)
            if each.is_heard and each.sensor.owner == "run"
        ]
        falsified = {place for place, n in enumerate(heard) if n in self._falsified}
        best = chosen([self._followed[n].sensor for n in heard], falsified)
        return [self._followed[heard[place]] for place in best]


class _Followed:
    """One sensor: its energy so far, and the moments of the last second at which it was known."""

    def __init__(self, sensor: Sensor) -> None:
        self.sensor = sensor
        self.energy_j = 0.0
        self._last: tuple[int, float] | None = None
        self._known: deque[tuple[int, float]] = deque()  # moment, J up to then

    @property
    def is_heard(self) -> bool:
        return self._last is not None

    @property
    def power_w(self) -> float:
        if self._last is None:
            return 0.0
        # A slow counter is known where it moves; one that has not for long draws nothing.
        ends_ns = self._known[-1][0]
        ends_ns = self._last[0] if self._last[0] - ends_ns > RECENT_NS else ends_ns
        start_ns, start_j = self._known[0]
        return (self.energy_j - start_j) / max((ends_ns - start_ns) * 1e-9, 1e-9)

    def _step_j(self, step_j: float, length_s: float) -> float:
        """The energy of a step of a counter; of an estimate by the curve of its machine."""
        curve, thread_w = self.sensor.power_curve, self.sensor.thread_power_w
        if curve is None or not thread_w or step_j <= 0 or length_s <= 0:
            return max(step_j, 0.0)
        return float(curve.watts(step_j / thread_w / length_s)) * length_s

    def begin(self) -> None:
        """Start counting here: what was drawn before was not the run's."""
        self.energy_j = 0.0
        self._known = deque((moment_ns, 0.0) for moment_ns, _ in list(self._known)[-1:])

    def add(self, time_ns: int, value: float) -> None:
        before_ns, before = self._last or (time_ns, value)
        self._last = (time_ns, value)
        if self.sensor.quantity == "energy":
            known = value != before or self.sensor.update_s < FRESH_S
            self.energy_j += self._step_j(value - before, (time_ns - before_ns) * 1e-9)
        else:
            known = True
            self.energy_j += (value + before) / 2 * (time_ns - before_ns) * 1e-9
        if known or not self._known:
            self._known.append((time_ns, self.energy_j))
        while len(self._known) > 1 and time_ns - self._known[1][0] >= RECENT_NS:
            self._known.popleft()
