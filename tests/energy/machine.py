"""Meters of a whole machine in virtual time: what they find of a known power."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.energy.sensors.base import Meter, Sensor
from harness.energy.trace import Trace
from harness.energy.window_energy import Measured, measured
from tests.energy.virtual import SECOND, VirtualSignals, record
from tests.fakes.known_power import KnownPower


@dataclass
class Clock:
    """The time that the recorder sees."""

    clock_ns: int = 50 * SECOND


class Followed(Protocol):
    """A stand-in that follows the time, and a power."""

    power: KnownPower

    def turn_to(self, now_ns: int) -> None:
        """Show that moment."""
        ...


@dataclass
class Turned:
    """A meter whose device is turned to the present before it is read."""

    meter: Meter
    turn: Callable[[], None]

    @property
    def sensor(self) -> Sensor:
        return self.meter.sensor

    def read(self) -> float:
        self.turn()
        return self.meter.read()


def watch(
    device: Followed,
    meters: Sequence[Meter],
    clock: Clock,
    lengths_s: Sequence[float],
    powers_w: Sequence[float],
    *,
    idle_s: float = 2.0,
    happens: Callable[[int], None] = lambda _: None,
) -> tuple[Trace, list[int]]:
    """Record pieces of constant power, one after the other.

    Args:
        device: What is measured.
        meters: What measures it.
        clock: The time.
        lengths_s: Of the pieces.
        powers_w: Of each.
        idle_s: Idle power is measured for so long before.
        happens: Called with the time before every reading.

    Returns:
        The trace, and the borders of the pieces.
    """
    begin_ns = clock.clock_ns + round((idle_s + 5.3) * SECOND)
    borders_ns = [begin_ns]
    for length_s, power_w in zip(lengths_s, powers_w, strict=True):
        device.power.draw(power_w, borders_ns[-1])
        borders_ns.append(borders_ns[-1] + round(length_s * SECOND))
    device.power.draw(powers_w[0] / 3, borders_ns[-1])

    def turn() -> None:
        happens(clock.clock_ns)
        device.turn_to(clock.clock_ns)

    signals = VirtualSignals(clock, [])  # type: ignore[arg-type]
    turned = [Turned(each, turn) for each in meters]
    trace, _ = record(clock, turned, borders_ns, idle_s=idle_s, signals=signals)  # type: ignore[arg-type]
    return trace, borders_ns


def found_by(trace: Trace, start_ns: int, end_ns: int) -> Measured:
    """What the trace says of a window."""
    return measured(trace, start_ns, end_ns)
