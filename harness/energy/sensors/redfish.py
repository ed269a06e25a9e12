"""Reads a server's power from its management controller by Redfish, over HTTPS.

Named in `energy.controllers`: "redfish://HOST" looks for the one chassis that measures power;
"redfish://HOST/redfish/v1/Chassis/NAME" names it. Two schemas of the DMTF (DSP8010) are known:
`EnvironmentMetrics` ("PowerWatts.Reading") and the older `Power` ("PowerControl[0].
PowerConsumedWatts"). Both are one GET request with a basic login; of sushy, OpenStack's client for
managing servers, nothing is needed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from harness.energy.sensors.base import Found, Meter, MeterSetup, Sensor, SensorError
from harness.energy.sensors.ipmi import PREFIX, controller_sensor
from harness.energy.sensors.plugs import number, printable

CERTIFICATE = "ENERGY_HARNESS_BMC_CA"
"""Environment variable: file of the authority that signed the controller's certificate."""
POLL_S = 2.0
CHASSIS = "/redfish/v1/Chassis"


@dataclass
class RedfishPower:
    """What a server's controller says that it draws."""

    device: Any
    path: str
    sensor: Sensor

    def read(self) -> float:
        """Watts now."""
        return power_w(self.device.get(self.path))


def power_w(found: dict[str, Any]) -> float:
    """The power in a resource of either schema.

    Raises:
        SensorError: There is none.
    """
    if "PowerWatts" in found:
        watts = number(found, "PowerWatts", "Reading")
    else:
        controls = found.get("PowerControl")
        first = controls[0] if isinstance(controls, list) and controls else {}
        watts = number(first, "PowerConsumedWatts")
    if watts <= 0:
        raise SensorError(f"it says {watts:g} W, which no running server draws")
    return watts


def find(setup: MeterSetup) -> Found:
    """The controllers that were named, if they answer; on the first node of a run only."""
    addresses = [a for a in setup.controllers if urlsplit(a).scheme.startswith("redfish")]
    if addresses and not setup.first_node:
        return Found([], ("redfish: read by the first node of the run, and counted once",))
    meters: list[Meter] = []
    notes = []
    for address in addresses:
        try:
            meters.append(opened(address))
        except SensorError as failure:
            notes.append(f"{address}: {failure}")
    return Found(meters, tuple(notes))


def opened(address: str) -> RedfishPower:
    """The meter behind an address.

    Raises:
        SensorError: It does not answer, or measures no power, or several chassis do.
    """
    from harness.energy.sensors.network import Credentials, HttpDevice

    parts = urlsplit(address)
    base = f"{'http' if parts.scheme == 'redfish+http' else 'https'}://{parts.netloc}"
    certificate = os.environ.get(CERTIFICATE)
    device = HttpDevice(base, Credentials.of(PREFIX), certificate=certificate)
    named = parts.path.rstrip("/")
    members = [named] if named else _members(device.get(CHASSIS))
    paths = [path for each in members if (path := _measured(device, each))]
    if not paths:
        raise SensorError("no chassis measures power")
    if len(paths) > 1:
        raise SensorError(
            f"several chassis measure power: name one, such as "
            f"{parts.scheme}://{parts.netloc}{members[0]}"
        )
    name = f"management controller {printable(parts.netloc)} (Redfish)"
    sensor = controller_sensor(f"redfish:{parts.netloc}{named}", name, "Redfish", POLL_S)
    meter = RedfishPower(device, paths[0], sensor)
    meter.read()
    return meter


def _members(found: dict[str, Any]) -> list[str]:
    links = found.get("Members")
    known = links if isinstance(links, list) else []
    return [each["@odata.id"] for each in known if _is_link(each)]


def _is_link(found: Any) -> bool:
    """Whether it leads to a resource of the same host."""
    path = found.get("@odata.id") if isinstance(found, dict) else None
    return isinstance(path, str) and path.startswith("/redfish/")


def _measured(device: Any, chassis: str) -> str | None:
    """The resource of a chassis that shows its power; None if there is none."""
    about = device.get(chassis)
    for name in ("EnvironmentMetrics", "Power"):
        if _is_link(about.get(name)):
            path: str = about[name]["@odata.id"]
            try:
                power_w(device.get(path))
            except SensorError:
                continue
            return path
    return None
