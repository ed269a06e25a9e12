"""Reads TP-Link's Kasa and Tapo plugs through python-kasa, which knows their logins.

The address says which of TP-Link's families a plug is of, so that it is asked in two or three ways
at most, and nothing else on the network is: the library's search is not used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import SplitResult

from kasa import AuthenticationError, Device, DeviceConfig, KasaException, Module
from kasa import Credentials as Login
from kasa import DeviceConnectionParameters as Way
from kasa import DeviceEncryptionType as Encryption
from kasa import DeviceFamily as Family

from harness.energy.sensors.base import SensorError
from harness.energy.sensors.network import Credentials
from harness.energy.sensors.plugs import J_PER_KWH, PREFIX, UPDATE_S, PlugState

TIMEOUT_S = 1.8
"""Of a reading: less than the 2 s after which a device counts as hanging."""
CONNECT_S = 5.0
"""A plug's login and all that it says of itself."""
WAYS = {
    "kasa": (
        Way(Family.IotSmartPlugSwitch, Encryption.Xor),
        Way(Family.IotSmartPlugSwitch, Encryption.Klap),
        Way(Family.SmartKasaPlug, Encryption.Klap, login_version=2),
    ),
    "tapo": (
        Way(Family.SmartTapoPlug, Encryption.Klap, login_version=2),
        Way(Family.SmartTapoPlug, Encryption.Aes, login_version=2),
    ),
}
"""How plugs are asked, the most frequent way first; firmwares changed from one to the next."""
T = TypeVar("T")

logging.getLogger("kasa").setLevel(logging.CRITICAL)  # a failed reading is in the record already


class KasaPlug:
    """A plug of TP-Link's: power in W, and of most Kasa plugs a counter in kWh of three decimals.

    Args:
        parts: Its address.

    Raises:
        SensorError: It does not answer, does not measure, or refuses the login.
    """

    update_s = UPDATE_S
    stale_s = float("inf")  # its figures have no clock

    def __init__(self, parts: SplitResult) -> None:
        self._credentials = Credentials.of(PREFIX)
        self._loop = asyncio.new_event_loop()
        self._device: Device | None = None
        try:
            self._device = self._connected(parts)
            counts = self.state().energy_j is not None
        except SensorError:
            self.close()
            raise
        self.name = f"TP-Link {self._device.model}"
        self.resolution_j = 1e-3 * J_PER_KWH if counts else 0.0

    def state(self) -> PlugState:
        """Ask it."""
        if self._device is None:
            raise SensorError("its connection was closed")
        energy = self._device.modules.get(Module.Energy)
        if energy is None:
            raise SensorError(f"a {self._device.model} does not measure")
        # The library knows in which units each firmware answers.
        status = self._run(energy.get_status(), TIMEOUT_S)
        power_w, total_kwh = status.power, status.total
        if power_w is None:
            raise SensorError("it gives no power")
        counts = "total" in status or "total_wh" in status
        energy_j = float(total_kwh) * J_PER_KWH if counts and total_kwh is not None else None
        return PlugState(float(power_w), energy_j)

    def close(self) -> None:
        """End its connection."""
        if self._loop.is_closed():
            return
        if self._device is not None:
            self._run(self._device.disconnect(), TIMEOUT_S)
        self._loop.close()

    def _connected(self, parts: SplitResult) -> Device:
        kept, failure = self._credentials, SensorError("no answer")
        login = Login(kept.user, kept.password) if kept.user else None
        for way in WAYS[parts.scheme]:
            config = DeviceConfig(
                parts.hostname or "",
                timeout=1,
                port_override=parts.port,
                credentials=login,
                connection_type=way,
            )
            try:
                return self._run(Device.connect(config=config), CONNECT_S)
            except WrongLoginError:
                raise
            except SensorError as other:
                failure = other
        raise failure

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, timeout_s))
        except AuthenticationError:
            raise WrongLoginError(
                f"wrong user or password ({self._credentials.variables})"
            ) from None
        except (KasaException, OSError) as failure:
            raise SensorError(f"no answer ({type(failure).__name__})") from None
        except Exception as failure:  # noqa: BLE001 - whatever the library makes of an answer
            raise SensorError(f"no usable answer ({type(failure).__name__})") from None


class WrongLoginError(SensorError):
    """It answers, and refuses the login."""
