"""Reads smart plugs: a meter of the whole machine for the price of a dinner.

A plug is named by its address, in `energy.plugs`:

    shelly://192.168.1.20         Shelly of any generation, over HTTP; /1 names the second channel
    tasmota://plug.local          Tasmota, over HTTP
    kasa://plug.local             TP-Link's Kasa plugs, through python-kasa
    tapo://plug.local             TP-Link's Tapo plugs, likewise
    mqtt://broker/TOPIC?every=10  Tasmota (tele/NAME/SENSOR) or Shelly (PREFIX/status/switch:0),
                                  from a broker, with the seconds between two messages

Shelly's and Tasmota's state is one documented GET request; aioshelly keeps a connection to each
device, with a web socket and a Bluetooth stack, of which a reading a second needs nothing.

Formats: Shelly Gen1 API ("/meter/0": W and W·min), Shelly Gen2+ RPC ("Switch.GetStatus": W and Wh),
Tasmota's "Status 10" (W and kWh).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, urlsplit

from harness.energy.sensors.base import (
    MACHINE,
    ClosingMeter,
    Found,
    Meter,
    MeterSetup,
    Quantity,
    Sensor,
    SensorError,
)

PREFIX = "ENERGY_HARNESS_PLUG"
"""Of the environment variables with a user and a password: ..._USER and ..._PASSWORD."""
GAIN_UNCERTAINTY = 0.05
"""Our judgement for plugs that are not calibrated; makers state 1 to 2 %."""
POLL_S = 1.0
UPDATE_S = 1.0
"""A plug's chip averages over about a second; at 12 W it pulses once a second."""
MIN_POWER_W, MAX_POWER_W = 1.0, 5000.0
"""The machine behind a plug runs, so that it draws more than the first (our judgement), and 16 A at
230 V are less than the second."""
STALE_S = 10.0
"""A clock of the plug that ticks every second and stands still for longer has stopped."""
J_PER_WH, J_PER_WMIN, J_PER_KWH = 3600.0, 60.0, 3.6e6


@dataclass(frozen=True)
class PlugState:
    """What a plug shows.

    Attributes:
        power_w: Power now.
        energy_j: Its counter; None without one.
        stamp: The plug's own time of the figures, in any form; None without one.
    """

    power_w: float
    energy_j: float | None
    stamp: object = None


class Plug(Protocol):
    """A kind of plug.

    Attributes:
        name: For people.
        resolution_j: The step of its counter; 0 without one.
        update_s: Seconds between two new figures.
        stale_s: After this time without a new `stamp` it stands still.
    """

    name: str
    resolution_j: float
    update_s: float
    stale_s: float

    def state(self) -> PlugState:
        """Ask it.

        Raises:
            SensorError: It does not answer, or with something else.
        """
        ...


@dataclass
class WatchedPlug:
    """A plug that is asked once for both of its figures, and not trusted if its clock stops."""

    plug: Plug
    clock: Callable[[], float] = time.monotonic
    _asked_s: float = -1e9
    _moved_s: float = 0.0
    _stamp: object = None
    _last: PlugState | SensorError = field(default_factory=lambda: SensorError("not asked yet"))

    def state(self) -> PlugState:
        """Its state, at most half of `POLL_S` old."""
        now_s = self.clock()
        if now_s - self._asked_s > POLL_S / 2:
            self._asked_s = now_s
            try:
                self._last = self.plug.state()
            except SensorError as failure:
                self._last = failure
        if isinstance(self._last, SensorError):
            raise SensorError(str(self._last))
        if self._last.stamp is None or self._last.stamp != self._stamp:
            self._moved_s, self._stamp = now_s, self._last.stamp
        elif now_s - self._moved_s > self.plug.stale_s:
            raise SensorError("stale: the clock of the plug's figures stands still")
        return self._last


@dataclass
class PlugMeter:
    """One figure of a plug."""

    sensor: Sensor
    watched: WatchedPlug

    def read(self) -> float:
        """Its counter in J, or its power in W."""
        state = self.watched.state()
        if self.sensor.quantity == "power":
            if not MIN_POWER_W <= state.power_w <= MAX_POWER_W:
                raise SensorError("no running machine at a plug draws what it says: another unit?")
            return state.power_w
        if state.energy_j is None:
            raise SensorError("it shows no counter now")
        return state.energy_j

    def close(self) -> None:
        """End its connection, if it has one."""
        if isinstance(self.watched.plug, ClosingMeter):
            self.watched.plug.close()


def find(setup: MeterSetup) -> Found:
    """The plugs that were named, if they answer."""
    if setup.plugs and not setup.first_node:
        return Found([], ("plugs: read by the first node of the run, and counted once",))
    meters: list[Meter] = []
    notes = []
    for address in setup.plugs:
        try:
            plug = opened(address)
        except SensorError as failure:
            notes.append(f"plug {address}: {failure}")
        except ImportError as missing:
            notes.append(f"plug {address}: needs {missing.name}: pip install energy-harness[plugs]")
        else:
            meters += meters_of(plug, address)
    return Found(meters, tuple(notes))


def opened(address: str) -> Plug:
    """The plug at an address, which was asked once: of a broker, whether it lets one listen.

    Raises:
        SensorError: It does not answer.
        ImportError: A package for it is missing.
    """
    parts = urlsplit(address)
    if parts.scheme == "mqtt":
        from harness.energy.sensors.plug_mqtt import MqttPlug

        return MqttPlug(parts)
    if parts.scheme in ("kasa", "tapo"):
        from harness.energy.sensors.plug_kasa import KasaPlug

        return KasaPlug(parts)
    plug = shelly(parts) if parts.scheme == "shelly" else TasmotaPlug(parts)
    plug.state()
    return plug


def meters_of(plug: Plug, address: str, clock: Callable[[], float] = time.monotonic) -> list[Meter]:
    """The meters of a plug; `clock` gives seconds."""
    watched = WatchedPlug(plug, clock)

    def sensor(quantity: Quantity) -> Sensor:
        is_energy = quantity == "energy"
        parts = urlsplit(address)
        return Sensor(
            device=f"plug:{parts.netloc}{parts.path.rstrip('/')}",
            name=f"{printable(plug.name)} at {parts.netloc}",
            kind="machine",
            quantity=quantity,
            source="counter" if is_energy else "sampled",
            relative_uncertainty=GAIN_UNCERTAINTY,
            resolution_j=plug.resolution_j if is_energy else 0.0,
            update_s=plug.update_s,
            window_s=0.0 if is_energy else UPDATE_S,
            poll_s=POLL_S,
            note=f"{MACHINE}, and all else that is behind this plug",
        )

    quantities: tuple[Quantity, ...] = ("energy", "power") if plug.resolution_j else ("power",)
    return [PlugMeter(sensor(quantity), watched) for quantity in quantities]


def printable(text: object) -> str:
    """A name that a device gave itself, fit for tables and pages."""
    return "".join(c if c.isprintable() else "?" for c in str(text))[:60]


def number(found: Any, *path: str) -> float:
    """The number at a path in a device's answer.

    Raises:
        SensorError: There is none.
    """
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if isinstance(found, list):  # a plug of several channels
        found = sum(each for each in found if isinstance(each, int | float))
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise SensorError(f"its answer has no number '{'.'.join(path)}'")
    return float(found)


def shelly(parts: SplitResult) -> Plug:
    """A Shelly, of the generation that it says it is."""
    from harness.energy.sensors.network import Credentials, HttpDevice

    base = f"http://{parts.netloc}"
    about = HttpDevice(base, Credentials()).get("/shelly")  # asks for no password
    channel = parts.path.strip("/") or "0"
    credentials = Credentials.of(PREFIX, "admin")
    if int(number({"gen": 1} | about, "gen")) == 1:
        device = HttpDevice(base, credentials)
        return ShellyGen1(f"Shelly {about.get('type', '')}", device.get, channel)
    device = HttpDevice(base, credentials, digest=True)
    return ShellyGen2(f"Shelly {about.get('app', '')}", device.get, channel)


@dataclass
class ShellyGen1:
    """A Shelly of the first generation: power in W, and a counter in W·min."""

    name: str
    get: Callable[[str], dict[str, Any]]
    channel: str
    resolution_j: float = J_PER_WMIN
    update_s: float = UPDATE_S
    stale_s: float = 150.0

    def state(self) -> PlugState:
        """Ask it."""
        found = self.get(f"/meter/{self.channel}")
        if found.get("is_valid") is False:
            raise SensorError("the plug says that its figures are not valid")
        stamp = found.get("timestamp") or None  # 0 where it has no time from the network
        return PlugState(number(found, "power"), number(found, "total") * J_PER_WMIN, stamp)


@dataclass
class ShellyGen2:
    """A Shelly of the second generation or later: power in W, and a counter in Wh."""

    name: str
    get: Callable[[str], dict[str, Any]]
    channel: str
    resolution_j: float = 1e-3 * J_PER_WH
    update_s: float = UPDATE_S
    stale_s: float = 150.0

    def state(self) -> PlugState:
        """Ask it."""
        return shelly_gen2_state(self.get(f"/rpc/Switch.GetStatus?id={self.channel}"))


def shelly_gen2_state(found: dict[str, Any]) -> PlugState:
    """What a switch of generation 2 says, as an answer or as a message."""
    energy = found.get("aenergy")
    stamp = energy.get("minute_ts") if isinstance(energy, dict) else None
    return PlugState(number(found, "apower"), number(found, "aenergy", "total") * J_PER_WH, stamp)


class TasmotaPlug:
    """A plug with Tasmota: power in W, and a counter in kWh of three decimals."""

    resolution_j = 1e-3 * J_PER_KWH
    update_s = UPDATE_S
    stale_s = STALE_S
    name = "Tasmota plug"

    def __init__(self, parts: SplitResult) -> None:
        from harness.energy.sensors.network import Credentials, HttpDevice

        self._credentials = Credentials.of(PREFIX, "admin")
        # Tasmota takes them as part of the request.
        self._device = HttpDevice(f"http://{parts.netloc}", Credentials())

    def state(self) -> PlugState:
        """Ask it."""
        kept = self._credentials
        login = f"&user={quote(kept.user)}&password={quote(kept.password)}" if kept.password else ""
        found = self._device.get(f"/cm?cmnd=Status%2010{login}")
        if "WARNING" in found:
            raise SensorError(f"wrong user or password ({kept.variables})")
        return tasmota_state(found.get("StatusSNS"))


def tasmota_state(found: Any) -> PlugState:
    """What Tasmota says of its sensors, as an answer or as a message."""
    power_w, total_kwh = number(found, "ENERGY", "Power"), number(found, "ENERGY", "Total")
    return PlugState(power_w, total_kwh * J_PER_KWH, found.get("Time"))
