"""A recorder that takes the place of one that died, and goes on with the same trace.

It numbers its sensors as the first one did, so that readers of the trace need not tell the two
apart. The time in between is a gap: every sensor gets a failed reading there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.energy.meter import Meter, Sensor, SensorError
from harness.log import LogReader

RESTARTED = "the recorder was restarted"


@dataclass
class _Lost:
    """Stands for a sensor that was there and is not any more."""

    sensor: Sensor

    def read(self) -> float:
        """Never a reading."""
        raise SensorError("gone since the recorder was restarted")


def sensors_in(trace: Path) -> list[Sensor]:
    """The sensors of the last recorder that began the trace; none if none did."""
    found: list[Sensor] = []
    for line in LogReader(trace).new():
        if isinstance(line, dict) and "sensors" in line:
            found = [Sensor.from_json(each) for each in line["sensors"]]
    return found


def in_their_places(meters: Sequence[Meter], sensors: Sequence[Sensor]) -> list[Meter]:
    """The meters of the same sensors in the same order; what else was found is left out."""
    by_identity: dict[tuple[str, ...], Meter] = {_identity(meter.sensor): meter for meter in meters}
    return [by_identity.get(_identity(sensor)) or _Lost(sensor) for sensor in sensors]


def _identity(sensor: Sensor) -> tuple[str, ...]:
    return sensor.device, sensor.quantity, sensor.part, sensor.note
