"""Reads a server's power from its management controller by IPMI (DCMI), through `ipmitool`.

Named in `energy.controllers`: "ipmi://local" for this machine's own, through its kernel's driver,
which needs the right to open /dev/ipmi0; "ipmi://HOST" over the network. Format: DCMI 1.5, "Get
Power Reading"; controllers refresh it every 1 to 5 s, in whole watts.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.energy.sensors.base import MACHINE, Found, Meter, MeterSetup, Sensor, SensorError

PREFIX = "ENERGY_HARNESS_BMC"
"""Of the environment variables with a user and a password: ..._USER and ..._PASSWORD."""
GAIN_UNCERTAINTY = 0.05
"""Our judgement; controllers state 2 to 5 % where they state anything."""
POLL_S = 5.0
"""Each question over the network opens a session of its own."""
UPDATE_S = 5.0
"""Controllers refresh it every 1 to 5 s."""
TIMEOUT_S = 1.9
LOCAL = "local"
WATTS = re.compile(r"^\s*Instantaneous power reading:\s*(\d+) Watts\s*$", re.MULTILINE)
STATE = re.compile(r"^\s*Power reading state is:\s*(\w+)\s*$", re.MULTILINE)


@dataclass
class DcmiPower:
    """What a server's controller says that it draws."""

    command: tuple[str, ...]
    sensor: Sensor

    def read(self) -> float:
        """Watts now."""
        password = os.environ.get(f"{PREFIX}_PASSWORD", "")
        try:
            asked = subprocess.run(
                self.command,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
                env={**os.environ, "IPMI_PASSWORD": password},
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise SensorError("the controller does not answer") from None
        if asked.returncode:
            raise SensorError(_reason(asked.stderr))
        return power_w(asked.stdout)


def power_w(text: str) -> float:
    """The power in what `ipmitool dcmi power reading` prints.

    Raises:
        SensorError: There is none, or the controller says that it does not measure.
    """
    found, state = WATTS.search(text), STATE.search(text)
    if state and state[1] != "activated":
        raise SensorError(f"the controller's power reading is {state[1]}")
    if found is None:
        raise SensorError("the controller gives no power reading")
    if not int(found[1]):
        raise SensorError("the controller says 0 W, which no running server draws")
    return float(found[1])


def find(setup: MeterSetup) -> Found:
    """The controllers that were named, if they answer; those elsewhere on the first node only."""
    meters: list[Meter] = []
    notes = []
    for address in setup.controllers:
        host = urlsplit(address).netloc
        if urlsplit(address).scheme != "ipmi":
            continue
        if host != LOCAL and not setup.first_node:
            notes.append(f"{address}: read by the first node of the run, and counted once")
            continue
        try:
            meter = opened(host)
            meter.read()
        except SensorError as failure:
            notes.append(f"{address}: {failure}")
        else:
            meters.append(meter)
    return Found(meters, tuple(notes))


def opened(host: str) -> DcmiPower:
    """The meter of a controller.

    Args:
        host: "local", or a host with a port or not.

    Raises:
        SensorError: `ipmitool` is not installed.
    """
    program = shutil.which("ipmitool", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise SensorError("ipmitool is not installed")
    where: tuple[str, ...] = ()
    if host != LOCAL:
        parts = urlsplit(f"//{host}")
        user = os.environ.get(f"{PREFIX}_USER", "")
        # -E: the password is taken from the environment, and in no list of processes.
        where = ("-I", "lanplus", "-H", parts.hostname or "", "-p", str(parts.port or 623))
        where += ("-U", user, "-E", "-N", "1", "-R", "1")
    name = platform.node() if host == LOCAL else host
    named = f"management controller of {name} (DCMI)"
    sensor = controller_sensor(f"ipmi:{name}", named, "IPMI", POLL_S)
    return DcmiPower((program, *where, "dcmi", "power", "reading"), sensor)


def controller_sensor(device: str, name: str, protocol: str, poll_s: float) -> Sensor:
    """Power of a machine by its management controller, whichever protocol it is asked over."""
    return Sensor(
        device=device,
        name=name,
        kind="machine",
        quantity="power",
        source="sampled",
        relative_uncertainty=GAIN_UNCERTAINTY,
        update_s=UPDATE_S,
        window_s=UPDATE_S,
        poll_s=poll_s,
        note=f"{MACHINE}: by its management controller, over {protocol}",
    )


def _reason(text: str) -> str:
    """Why `ipmitool` failed, without what it was given."""
    if "Unable to establish" in text:
        names = f"{PREFIX}_USER and {PREFIX}_PASSWORD"
        return f"no session with the controller: is it there, and are {names} right?"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reply = next((line for line in lines if "DCMI" in line), (lines or ["no reason given"])[-1])
    return "".join(c if c.isprintable() else "?" for c in reply)[:120]
