"""The seam between sensors and everything that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

Quantity = Literal["energy", "power"]
Source = Literal["counter", "sampled", "estimated", "simulated"]


@dataclass(frozen=True)
class Sensor:
    """What one sensor reads, and how far it may be off.

    Attributes:
        device: A stable id, such as a GPU's UUID.
        name: The device's name, for people.
        kind: "gpu", "cpu" or "dram".
        quantity: "energy" (cumulative, J) or "power" (W).
        source: Where the figure comes from: a hardware counter, sampled power, a model
            ("estimated"), or a stand-in driver ("simulated").
        relative_uncertainty: Gain error as a share of the reading (95 %), fixed for a device.
        resolution_j: Smallest step of an energy reading.
        note: The assumptions behind the figure, in a sentence.
    """

    device: str
    name: str
    kind: str
    quantity: Quantity
    source: Source
    relative_uncertainty: float
    resolution_j: float = 0.0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The sensor as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    Attributes:
        time_ns: Monotonic clock (CLOCK_MONOTONIC), the middle of the reading.
        value: In J or W, as the sensor's quantity says; None where the sensor failed.
        error: Why it failed.
    """

    time_ns: int
    value: float | None
    error: str | None = None


class Meter(Protocol):
    """Reads one sensor."""

    sensor: Sensor

    def sample(self) -> Sample:
        """Read once, now. Never raises: a failure is a sample without a value."""
        ...


@dataclass(frozen=True)
class MeterSetup:
    """What meters need to know about the run they watch.

    Attributes:
        process_id: The run's process; its descendants count too.
        gpus: UUIDs of the GPUs to read; None for all of the machine's.
        watts_per_thread: Power of one busy hardware thread, for the estimate.
        watts_note: Where `watts_per_thread` comes from.
    """

    process_id: int
    gpus: tuple[str, ...] | None
    watts_per_thread: float
    watts_note: str


@dataclass(frozen=True)
class Found:
    """The meters of one kind on this machine, and why there are none, if so."""

    meters: list[Meter]
    note: str | None = None


Finder = Callable[[MeterSetup], Found]
