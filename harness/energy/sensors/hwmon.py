"""Reads power and energy that Linux shows under /sys/class/hwmon, where nothing else reads it.

- `power_meter`: a server's meter in its ACPI tables, of the whole machine (ACPI specification,
  "Power Meter Device");
- `i915` and `xe`: the energy counter of an Intel GPU (the kernel's ABI:
  sysfs-driver-intel-i915-hwmon, sysfs-driver-intel-xe-hwmon);
- `amdgpu`: the power of an AMD GPU, unless Zeus reads it;
- `ina3221`: the input of a Jetson board, of the whole board.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from harness.energy.sensors.base import MACHINE, Found, Meter, MeterSetup, Sensor, SensorError
from harness.energy.sensors.sysfs import is_real, number_in, sysfs, text_in

GAIN_UNCERTAINTY = 0.05
"""Our judgement, as for other boards: nothing better is published for these."""
UPDATE_S = 0.1
"""A first guess for GPUs: the recorder finds each sensor's own update period."""
METER_POLL_S = 1.0
RAIL_POLL_S = 0.1
REGISTER_J = 2**32 * 2.0**-14
"""Intel's register has 32 bits of 2^-14 J, so that it wraps every 22 minutes at 200 W. The kernel
extends it, as long as it is read in time; before that it wraps here, too."""
OWN_MEMORY_BYTES = 2 * 1024**3
"""An AMD GPU with less memory of its own is a part of the processor, whose power holds its own."""
KFD = Path("/dev/kfd")
"""Where this is, Zeus finds AMD's GPUs."""
JETSON_INPUTS = ("VDD_IN", "POM_5V_IN", "5V_IN")
"""What the rail is called that feeds a whole Jetson board."""


@dataclass
class FilePower:
    """Power in µW, from a file."""

    file: Path
    sensor: Sensor

    def read(self) -> float:
        """Watts now."""
        return _number(self.file) * 1e-6


@dataclass
class RailPower:
    """Voltage in mV times current in mA, from two files."""

    volts: Path
    amperes: Path
    sensor: Sensor

    def read(self) -> float:
        """Watts now."""
        return _number(self.volts) * _number(self.amperes) * 1e-6


class IntelEnergy:
    """Energy in µJ, unwrapped.

    Args:
        file: Where it is shown.
        sensor: What it is.

    Raises:
        SensorError: It cannot be read.
    """

    def __init__(self, file: Path, sensor: Sensor) -> None:
        self._file = file
        self.sensor = sensor
        self._last_j = self._total_j = _number(file) * 1e-6

    def read(self) -> float:
        """Joules so far."""
        now_j = _number(self._file) * 1e-6
        step_j = now_j - self._last_j
        if step_j < 0 and self._last_j <= REGISTER_J:
            # One that was reset seems to wrap, too; it then leaps by more than a card can draw, and
            # is not trusted.
            step_j += REGISTER_J
        self._total_j += step_j
        self._last_j = now_j
        return self._total_j


def find(_setup: MeterSetup) -> Found:
    """The chips that this module knows."""
    meters: list[Meter] = []
    notes = []
    for folder in sorted((sysfs() / "class/hwmon").glob("hwmon*")):
        try:
            meters += _of_chip(folder)
        except SensorError as failure:
            notes.append(f"hwmon: {text_in(folder / 'name')}: {failure}")
    return Found(meters, tuple(notes))


def _of_chip(folder: Path) -> Iterator[Meter]:
    match text_in(folder / "name"):
        case "power_meter":
            yield from _acpi(folder)
        case "i915" | "xe" as driver:
            yield from _intel(folder, driver)
        case "amdgpu":
            yield from _amd(folder)
        case "ina3221":
            yield from _jetson(folder)


def _acpi(folder: Path) -> Iterator[Meter]:
    file = folder / "power1_average"
    _number(file)
    average_s = (number_in(folder / "power1_average_interval") or 1000) * 1e-3
    yield FilePower(
        file,
        replace(
            _sensor(file, f"acpi:{platform.node()}", "ACPI power meter", "machine"),
            update_s=average_s,
            window_s=average_s,
            poll_s=METER_POLL_S,
            note=f"{MACHINE}: by the power meter in its ACPI tables",
        ),
    )


def _intel(folder: Path, driver: str) -> Iterator[Meter]:
    for file in sorted(folder.glob("energy*_input")):
        label = text_in(folder / file.name.replace("_input", "_label"))
        if label in ("", "card"):  # "pkg" is a part of the card
            power = _sensor(file, _gpu(folder), f"Intel GPU ({driver})", "gpu")
            sensor = replace(power, quantity="energy", resolution_j=1e-6 if label else 2.0**-14)
            if sensor.source != "simulated":
                sensor = replace(sensor, source="counter")
            yield IntelEnergy(file, sensor)
            return


def _amd(folder: Path) -> Iterator[Meter]:
    if KFD.exists() and find_spec("zeus") and find_spec("amdsmi"):
        return
    own = number_in(folder / "device/mem_info_vram_total") or 0
    if own < OWN_MEMORY_BYTES or not number_in(folder / "power1_cap_max"):
        raise SensorError("left out, since it is a part of the processor and shares its power")
    for name in ("power1_average", "power1_input"):
        if number_in(folder / name) is not None:
            yield FilePower(
                folder / name, _sensor(folder / name, _gpu(folder), "AMD GPU (amdgpu)", "gpu")
            )
            return


def _jetson(folder: Path) -> Iterator[Meter]:
    for label in sorted(folder.glob("in*_label")):
        number = label.name.removeprefix("in").removesuffix("_label")
        if text_in(label) in JETSON_INPUTS:
            volts, amperes = folder / f"in{number}_input", folder / f"curr{number}_input"
            rail = RailPower(
                volts,
                amperes,
                replace(
                    _sensor(volts, f"board:{platform.node()}", "Jetson board's input", "machine"),
                    poll_s=RAIL_POLL_S,
                    note=f"{MACHINE}: at the input of the board ({text_in(label)})",
                ),
            )
            rail.read()
            yield rail


def _sensor(file: Path, device: str, name: str, kind: str) -> Sensor:
    return Sensor(
        device=device,
        name=name,
        kind=kind,
        quantity="power",
        source="sampled" if is_real(file) else "simulated",
        relative_uncertainty=GAIN_UNCERTAINTY,
        update_s=UPDATE_S,
        note=f"read in {file.parent.name} under /sys/class/hwmon",
    )


def _gpu(folder: Path) -> str:
    """The id of a GPU: its place on the bus."""
    return f"gpu-{(folder / 'device').resolve().name}:{platform.node()}"


def _number(file: Path) -> int:
    found = number_in(file)
    if found is None:
        raise SensorError(f"{file.name} cannot be read")
    return found
