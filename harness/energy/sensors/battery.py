"""Reads a laptop's batteries, as Linux shows them under /sys/class/power_supply.

A battery measures the whole machine, and only while it alone feeds it: with the charger plugged in,
what the machine draws comes from the wall. Its figures are refreshed by the firmware every 1 to
30 s. Several batteries of one machine are one meter, since they take turns. Batteries of a mouse or
a headset (scope "Device") are none of it.

Format: Documentation/ABI/testing/sysfs-class-power of the Linux kernel: µWh, µAh, µV, µA, µW.
"""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass, field
from pathlib import Path

from harness.energy.sensors.base import (
    MACHINE,
    Found,
    Meter,
    MeterSetup,
    Quantity,
    Sensor,
    SensorError,
    Source,
)
from harness.energy.sensors.sysfs import is_real, number_in, sysfs, text_in

GAIN_UNCERTAINTY = 0.1
"""Our judgement: gauges are made to estimate what is left, and state no accuracy of power."""
UPDATE_S = 30.0
"""Firmware refreshes the charge this seldom at worst."""
POWER_UPDATE_S = 10.0
"""Power is refreshed every 1 to 30 s; a firmware's averaging is taken to be as long."""
POLL_S = 1.0
STEPS_UWH = (10_000, 100_000)
"""The steps of the gauge, in µWh, are at least the first and at most the second."""
STEPS_UAH = (1_000, 10_000)
"""Likewise in µAh, where it counts charge."""
J_PER_UWH = 3.6e-3


@dataclass
class _Battery:
    """One battery: what it has left, as energy or as charge and voltage."""

    folder: Path
    left: float = math.nan
    volts: float = math.nan

    @property
    def name(self) -> str:
        maker, model = (text_in(self.folder / each) for each in ("manufacturer", "model_name"))
        return " ".join(filter(None, ["battery", maker, model])) or self.folder.name

    @property
    def counts_energy(self) -> bool:
        return number_in(self.folder / "energy_now") is not None

    @property
    def can_be_read(self) -> bool:
        charge, volts = (number_in(self.folder / each) for each in ("charge_now", "voltage_now"))
        return self.counts_energy or (charge is not None and volts is not None)

    @property
    def status(self) -> str:
        return text_in(self.folder / "status")

    @property
    def step_j(self) -> float:
        """The step of the gauge, from what all of its figures are multiples of."""
        kind, (least, most) = ("energy", STEPS_UWH) if self.counts_energy else ("charge", STEPS_UAH)
        names = (f"{kind}_{each}" for each in ("now", "full", "full_design"))
        step = math.gcd(*(number_in(self.folder / name) or 0 for name in names))
        known = min(max(step, least), most)
        return known * J_PER_UWH * (1.0 if self.counts_energy else self._volts())

    def drawn_j(self) -> float:
        """What was taken from it since the last call."""
        before, volts_before = self.left, self.volts
        self.left = self._number("energy_now" if self.counts_energy else "charge_now")
        self.volts = 1.0 if self.counts_energy else self._volts()
        taken = (before - self.left) * (volts_before + self.volts) / 2 * J_PER_UWH
        return 0.0 if math.isnan(taken) else taken

    def power_w(self) -> float:
        """What it gives now."""
        if (power_uw := number_in(self.folder / "power_now")) is not None:
            return abs(power_uw) * 1e-6
        return abs(self._number("current_now")) * self._volts() * 1e-6

    def _volts(self) -> float:
        return self._number("voltage_now") * 1e-6

    def _number(self, name: str) -> float:
        found = number_in(self.folder / name)
        if found is None:
            raise SensorError(f"{self.folder.name}: {name} cannot be read")
        return found


@dataclass
class _Supply:
    """All batteries of a machine, and its charger."""

    batteries: list[_Battery]
    folder: Path

    def why_not(self) -> str | None:
        """Why the batteries do not show what the machine draws; None if they do."""
        for each in sorted(self.folder.iterdir()):
            if text_in(each / "type") in ("Mains", "USB") and number_in(each / "online") == 1:
                return "the charger is plugged in"
        found = {each.status for each in self.batteries}
        if "Charging" in found or "Discharging" not in found:
            return f"the charger is plugged in (status: {', '.join(sorted(found))})"
        return None

    def check(self) -> None:
        if why := self.why_not():
            raise SensorError(why)

    def sensor(self, quantity: Quantity) -> Sensor:
        """What the batteries measure together."""
        is_energy = quantity == "energy"
        file = self.batteries[0].folder / "status"
        source: Source = "counter" if is_energy else "sampled"
        return Sensor(
            device=f"battery:{platform.node()}",
            name=" and ".join(each.name for each in self.batteries),
            kind="machine",
            quantity=quantity,
            source=source if is_real(file) else "simulated",
            relative_uncertainty=GAIN_UNCERTAINTY,
            resolution_j=max(each.step_j for each in self.batteries) if is_energy else 0.0,
            update_s=UPDATE_S if is_energy else POWER_UPDATE_S,
            window_s=0.0 if is_energy else POWER_UPDATE_S,
            poll_s=POLL_S,
            note=f"{MACHINE}: what its battery gives, without the losses of the charger",
        )


@dataclass
class BatteryEnergy:
    """What the batteries have given since this was made.

    A time with the charger plugged in is cut out: after it the figure is lower than before, as of a
    counter that was set back, so that no window reaches over it.
    """

    supply: _Supply
    sensor: Sensor
    total_j: float = 0.0
    is_cut: bool = field(default=True)

    def read(self) -> float:
        """Joules given so far."""
        try:
            self.supply.check()
            drawn_j = sum(each.drawn_j() for each in self.supply.batteries)
        except SensorError:
            self.is_cut = True
            raise
        self.total_j = min(self.total_j, 0.0) - 1.0 if self.is_cut else self.total_j + drawn_j
        self.is_cut = False
        return self.total_j


@dataclass
class BatteryPower:
    """What the batteries give."""

    supply: _Supply
    sensor: Sensor

    def read(self) -> float:
        """Watts now."""
        self.supply.check()
        return sum(each.power_w() for each in self.supply.batteries)


def find(_setup: MeterSetup) -> Found:
    """The batteries of this machine, if they feed it."""
    folder = sysfs() / "class/power_supply"
    found = [_Battery(each) for each in sorted(folder.glob("*")) if _is_of_machine(each)]
    supply = _Supply([each for each in found if each.can_be_read], folder)
    if not supply.batteries:
        return Found([], ("battery: it shows neither energy nor charge",) if found else ())
    if why := supply.why_not():
        return Found([], (f"battery: {why}; unplug it to measure the whole machine",))
    meters: list[Meter] = [BatteryEnergy(supply, supply.sensor("energy"))]
    power = BatteryPower(supply, supply.sensor("power"))
    try:
        power.read()
    except SensorError:
        return Found(meters)
    return Found([*meters, power])


def _is_of_machine(folder: Path) -> bool:
    return text_in(folder / "type") == "Battery" and text_in(folder / "scope") != "Device"
