"""A real MQTT broker, mosquitto, and a plug that sends to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class Broker:
    """A broker, and a plug that sends to it."""

    port: int
    sender: paho.Client
    process: subprocess.Popen[bytes]

    def send(self, topic: str, state: object, *, keep: bool = True) -> None:
        text = state if isinstance(state, str) else json.dumps(state)
        self.sender.publish(topic, text, qos=1, retain=keep).wait_for_publish(5)

    def address(self, topic: str, every_s: float = 10) -> str:
        return f"mqtt://127.0.0.1:{self.port}/{topic}?every={every_s}"


@contextmanager
def started(folder: Path, password: str = "") -> Iterator[Broker]:
    """A broker that lets anyone listen, or "reader" with this password."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1", f"allow_anonymous {str(not password).lower()}"]
    if password:
        passwords = folder / "passwords"
        command = ["mosquitto_passwd", "-b", "-c", str(passwords), "reader", password]
        subprocess.run(command, check=True, capture_output=True)
        passwords.chmod(0o644)
        folder.chmod(0o755)
        lines += [f"password_file {passwords}", "user root"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    broker = subprocess.Popen(
        [str(MOSQUITTO), "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )
    sender = paho.Client(CallbackAPIVersion.VERSION2)
    if password:
        sender.username_pw_set("reader", password)
    try:
        for _ in range(100):
            try:
                sender.connect("127.0.0.1", port)
                break
            except OSError:
                time.sleep(0.05)
        sender.loop_start()
        yield Broker(port, sender, broker)
    finally:
        sender.disconnect()
        sender.loop_stop()
        broker.terminate()
        broker.wait()
