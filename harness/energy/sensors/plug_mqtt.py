"""Reads a smart plug from an MQTT broker, to which it sends its state by itself."""

from __future__ import annotations

import json
import threading
import time
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from harness.energy.sensors.base import SensorError
from harness.energy.sensors.network import Credentials
from harness.energy.sensors.plugs import (
    PREFIX,
    PlugState,
    ShellyGen2,
    TasmotaPlug,
    shelly_gen2_state,
    tasmota_state,
)

PORT = 1883
TIMEOUT_S = 5.0
"""To connect and subscribe."""
FIRST_S = 2.0
"""How long a first message is waited for: a broker that keeps the last one sends it at once."""
MISSED = 3.0
"""Once this many messages have not come, the last one is stale."""
EVERY_S = {"tasmota": 300.0, "shelly": 60.0}
"""How often plugs send their state as they are delivered."""


class MqttPlug:
    """A plug that sends its state to a topic.

    Args:
        parts: The address: broker, topic, and the seconds between two messages.

    Raises:
        SensorError: The broker does not let it subscribe.
    """

    def __init__(self, parts: SplitResult) -> None:
        topic = unquote(parts.path.lstrip("/"))
        self._is_tasmota = topic.endswith("/SENSOR")
        kind = "tasmota" if self._is_tasmota else "shelly"
        given = parse_qs(parts.query).get("every", [])
        self.name = f"{kind.capitalize()} plug {topic}"
        self.update_s = float(given[0]) if given else EVERY_S[kind]
        self.resolution_j = (TasmotaPlug if self._is_tasmota else ShellyGen2).resolution_j
        self.stale_s = MISSED * self.update_s
        self._lock = threading.Lock()
        self._message: bytes | None = None
        self._came_s = 0.0
        self._topic = topic
        self._failure: str | None = "the broker did not answer"
        self._ready = threading.Event()
        self._first = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        credentials = Credentials.of(PREFIX)
        self._variables = credentials.variables
        if credentials.user:
            self._client.username_pw_set(credentials.user, credentials.password)
        self._client.connect_timeout = TIMEOUT_S
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        try:
            self._client.connect(parts.hostname or "", parts.port or PORT)
        except OSError as failure:
            raise SensorError(f"no answer ({type(failure).__name__})") from None
        self._client.loop_start()
        self._ready.wait(TIMEOUT_S)
        if self._failure:
            self._client.loop_stop()
            raise SensorError(self._failure)
        self._first.wait(FIRST_S)

    def state(self) -> PlugState:
        """What its last message says."""
        with self._lock:
            message, came_s = self._message, self._came_s
        if message is None:
            # It is there, as far as the broker knows; its first message is to come.
            raise SensorError("no message yet")
        age_s = time.monotonic() - came_s
        if age_s > self.stale_s:
            raise SensorError(f"stale: no message for {age_s:.0f} s")
        try:
            found = json.loads(message)
        except ValueError:
            raise SensorError("its message is no JSON") from None
        return tasmota_state(found) if self._is_tasmota else _untimed(found)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            self._failure = f"wrong user or password ({self._variables}): {reason}"
            self._ready.set()
        else:
            client.subscribe(self._topic)

    def _subscribed(self, _client: Any, _data: Any, _id: Any, reasons: Any, _more: Any) -> None:
        refused = [str(each) for each in reasons if each.is_failure]
        self._failure = f"the broker refuses the topic: {refused[0]}" if refused else None
        self._ready.set()

    def _received(self, _client: Any, _data: Any, message: Any) -> None:
        with self._lock:
            self._message, self._came_s = bytes(message.payload), time.monotonic()
        self._first.set()


def _untimed(found: Any) -> PlugState:
    """Without the minute of its counter: when the message came says more."""
    if not isinstance(found, dict):
        raise SensorError("its message is no JSON object")
    state = shelly_gen2_state(found)
    return PlugState(state.power_w, state.energy_j)
