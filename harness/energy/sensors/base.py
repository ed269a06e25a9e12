"""The interface between sensors and everything that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from harness.energy.sensors.power_curve import PowerCurve

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Quantity = Literal["energy", "power"]
Source = Literal["counter", "sampled", "estimated", "simulated"]
Scope = Literal["parts", "machine"]
Owner = Literal["run", "spare", "host", "machine", "part"]


class EnergyKind(StrEnum):
    """How an energy figure came about, from the weakest kind to the best."""

    SIMULATED = "simulated"
    """By a stand-in driver: not the energy of any device."""
    ESTIMATED = "estimated"
    """By a model, without a sensor."""
    MEASURED = "measured"
    """By a sensor of the device, as a counter or as sampled power."""


_KINDS: dict[str, EnergyKind] = {
    "counter": EnergyKind.MEASURED,
    "sampled": EnergyKind.MEASURED,
    "estimated": EnergyKind.ESTIMATED,
    "simulated": EnergyKind.SIMULATED,
}


def kind_of_source(source: str) -> EnergyKind:
    """The kind of figure that a `Source` gives; of an unknown one, an estimate at best."""
    return _KINDS.get(source, EnergyKind.ESTIMATED)


MODULE = "the whole module's: GPU, CPU and memory"
"""Part of the note of a sensor whose kind is "module"."""
MACHINE = "the whole machine's, idle power included"
"""Part of the note of a sensor whose kind is "machine"."""
FRESH_S = 0.01
"""A counter updated faster than this is as good as fresh at every reading: its updates need no
watching."""
SLOW_S = 0.15
"""For a counter updated less often, the power sensor shows what happens within an update."""
BUSY_PERIOD_NS = 1_000_000_000
"""Time between two looks at how busy a GPU is, and what each stands for: the longest sample period
of NVML."""


class SensorError(Exception):
    """A reading that failed; its text says why."""


@dataclass(frozen=True)
class Sensor:
    """One sensor: what it reads, and its uncertainty.

    Attributes:
        device: A stable id, such as a GPU's UUID.
        name: The device's name, for people.
        kind: "gpu", "cpu", "dram", "module": a GPU with its CPU and memory, or "machine": all
            of it, never added to a part of the same machine.
        quantity: "energy" (cumulative, J) or "power" (W).
        source: Where the figure comes from: a hardware counter, sampled power, a model
            ("estimated"), or a stand-in driver ("simulated").
        relative_uncertainty: Gain error as a share of the reading (95 %), fixed for a device.
        resolution_j: Smallest step of an energy reading.
        note: The assumptions behind the figure, in a sentence.
        part: "device", or the part of it that this sensor sees alone, such as "memory": such a
            reading is contained in the device's own and never added to it.
        update_s: Time between two updates of the reading, as known beforehand; 0 if every reading
            is fresh.
        window_s: Time over which a power reading is averaged, as known beforehand; a sensor
            whose window is shorter than `update_s` is blind in between.
        ceiling_w: The most that the device can draw for long; infinite if unknown.
        owner: Whose energy it is: the run's; of a GPU that was handed over with the run's and stays
            "spare"; of a "host" that others use meanwhile; of the whole "machine", where the run's
            is that of its parts; or of a "part", where the run's is the machine's. Only the first
            is in a run's total.
        thread_power_w: Of an estimate of CPU time, what a busy thread is taken to draw; else None.
        power_curve: Of an estimate on a calibrated machine, what its busy threads draw; the energy
            follows from it and the readings, which are CPU time x `thread_power_w`.
        poll_s: The least time between two readings of a meter that must not be asked more often,
            such as one on the network; 0 for others.
    """

    device: str
    name: str
    kind: str
    quantity: Quantity
    source: Source
    relative_uncertainty: float
    resolution_j: float = 0.0
    note: str = ""
    part: str = "device"
    update_s: float = 0.0
    window_s: float = 0.0
    ceiling_w: float | None = None
    owner: Owner = "run"
    thread_power_w: float | None = None
    power_curve: PowerCurve | None = None
    poll_s: float = 0.0

    @property
    def energy_kind(self) -> EnergyKind:
        """The kind of its figures."""
        return kind_of_source(self.source)

    @property
    def is_estimate(self) -> bool:
        """Whether it is a model, in place of a sensor (a stand-in driver's sensors are sensors)."""
        return self.energy_kind is EnergyKind.ESTIMATED

    @property
    def is_stepped_counter(self) -> bool:
        """Whether it is an energy counter whose updates can be watched one by one."""
        return self.quantity == "energy" and self.update_s >= FRESH_S and not self.poll_s

    @property
    def is_of_machine(self) -> bool:
        """Whether it measures a whole machine."""
        return self.kind == "machine"

    def to_json(self) -> dict[str, Any]:
        """The sensor as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Sensor:
        """The sensor that `to_json` wrote; older traces lack some keys.

        Raises:
            ValueError: `saved` is no sensor.
        """
        known = {each.name for each in fields(cls)}
        found = {key: value for key, value in saved.items() if key in known}
        return _validator().validate_python(found)


@cache
def _validator() -> TypeAdapter[Sensor]:
    """What checks a sensor read from a file; made once, as that takes longer than its use."""
    from pydantic import TypeAdapter  # the recorder, which only writes, does without

    return TypeAdapter(Sensor)


class Meter(Protocol):
    """Reads one sensor."""

    sensor: Sensor

    def read(self) -> float:
        """Read once, now, in J or W as the sensor's quantity says.

        Raises:
            SensorError: There was no reading.
        """
        ...


@runtime_checkable
class ClosingMeter(Protocol):
    """A meter, or what is behind it, that keeps a connection."""

    def close(self) -> None:
        """End it."""
        ...


class Observer(Protocol):
    """Reports the state of a device, at a slow rate: temperature, clocks, processes on it."""

    @property
    def device(self) -> str:
        """The device's id, as its sensors name it."""
        ...

    def settings(self) -> dict[str, Any]:
        """What does not change: limits and modes, recorded and never set."""
        ...

    def state(self) -> dict[str, Any]:
        """What changes. Never raises; what cannot be read is left out."""
        ...


@dataclass(frozen=True)
class MeterSetup:
    """What meters need to know about the run they watch.

    Attributes:
        process_id: The run's process; its descendants count too.
        gpus: UUIDs of the GPUs to read; None for all of the machine's.
        watts_per_thread: Power of one busy hardware thread, for the estimate.
        watts_note: Where `watts_per_thread` comes from.
        spare_gpus: UUIDs of GPUs that were handed over with the run's and stay idle; read, too.
        own_host: Whether the energy of the host's processors is the run's.
        first_node: Whether it is the run's first node: only there are meters on the network read,
            so that each counts once.
        scope: What makes up the run's energy: the machine's parts, or the whole machine.
        plugs: Addresses of smart plugs.
        controllers: Addresses of servers' management controllers.
    """

    process_id: int
    gpus: tuple[str, ...] | None
    watts_per_thread: float
    watts_note: str
    spare_gpus: tuple[str, ...] = ()
    own_host: bool = True
    first_node: bool = True
    scope: Scope = "parts"
    plugs: tuple[str, ...] = ()
    controllers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The meters of one kind on this machine, the observers of devices, and what is missing."""

    meters: list[Meter]
    notes: tuple[str, ...] = ()
    observers: list[Observer] = field(default_factory=list)


Finder = Callable[[MeterSetup], Found]


def listed(names: Mapping[str, str]) -> str:
    """Processes, from PID to name, for people."""
    pids = ", ".join(names)
    known = sorted({name for name in names.values() if name})
    return f"PID {pids}: {', '.join(known)}" if known else f"PID {pids}"
