"""TP-Link's plugs on real sockets, that follow a known power.

    with FakeTplink("HS110") as plug:
        plug.address                      # such as kasa://127.0.0.1:40123
        plug.turn_to(now_ns)              # it shows that moment

Three firmwares, as python-kasa's dumps of devices show them: "HS110" answers in W and kWh on the
port of TP-Link's first protocol (JSON under an XOR with what was sent before), "KP115" in mW and Wh
after the later login (KLAP: seeds, hashes and AES over HTTP), "P110", a Tapo, after that login in
its second version with other words, and without a counter.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kasa.transports.klaptransport import KlapEncryptionSession
from kasa.transports.xortransport import XorEncryption

from tests.fakes.known_power import KnownPower

SECOND = 1_000_000_000
MAC = "50:C7:BF:00:00:00"


class FakeTplink:
    """A plug.

    Args:
        kind: "HS110", "KP115" or "P110".
        power_w: What is drawn through it, until `power.draw` says otherwise.
        login: User and password, of one that asks for them.

    Attributes:
        fault: What it does in place of answering: "offline", or "text".
        measures: Whether it has a meter.
        asked: The requests.
    """

    def __init__(
        self,
        kind: str,
        power_w: float = 60.0,
        login: tuple[str, str] = ("me@example.org", "secret"),
    ) -> None:
        self.kind, self.login = kind, login
        self.power = KnownPower(power_w)
        self.fault: str | None = None
        self.measures = True
        self.asked: list[Any] = []
        self._zero_ns = self._now_ns = 0
        self.session: KlapEncryptionSession | None = None
        is_first = kind == "HS110"
        server = socketserver.ThreadingTCPServer if is_first else ThreadingHTTPServer
        self._server = server(("127.0.0.1", 0), _xor(self) if is_first else _klap(self))
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        scheme = "tapo" if self.kind == "P110" else "kasa"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeTplink:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def turn_to(self, now_ns: int) -> None:
        """Show that moment."""
        self._now_ns = now_ns

    def reset(self) -> None:
        """Begin counting from zero."""
        self._zero_ns = self._now_ns

    def answer(self, request: Any) -> Any:
        """What it says to a request."""
        self.asked.append(request)
        if self.kind == "P110":
            return self._smart(request)
        return {
            module: {call: self._of(module, call) for call in calls}
            for module, calls in request.items()
        }

    def auth_hash(self) -> bytes:
        """What it knows of its login."""
        user, password = (text.encode() for text in self.login)
        if self.kind == "P110":
            both = hashlib.sha1(user).digest() + hashlib.sha1(password).digest()  # noqa: S324
            return hashlib.sha256(both).digest()
        both = hashlib.md5(user).digest() + hashlib.md5(password).digest()  # noqa: S324
        return hashlib.md5(both).digest()  # noqa: S324

    def shown(self) -> tuple[float, float]:
        """Power in W over the last second, and the counter in Wh."""
        second_ns = self._now_ns - self._now_ns % SECOND
        power_w = self.power.truth_j(second_ns - SECOND, second_ns)
        return power_w, self.power.truth_j(self._zero_ns, max(second_ns, self._zero_ns)) / 3600

    def _of(self, module: str, call: str) -> dict[str, Any]:
        power_w, total_wh = self.shown()
        if (module, call) == ("system", "get_sysinfo"):
            return {
                "err_code": 0,
                "model": f"{self.kind}(EU)",
                "mic_type": "IOT.SMARTPLUGSWITCH",
                "feature": "TIM:ENE" if self.measures else "TIM",
                "dev_name": "Wi-Fi Smart Plug With Energy Monitoring",
                "alias": "desk",
                "deviceId": "0" * 40,
                "hw_ver": "1.0",
                "sw_ver": "1.2.5 Build 171213 Rel.101523",
                "mac": MAC,
                "relay_state": 1,
                "on_time": 100,
                "led_off": 0,
                "rssi": -60,
            }
        if module == "time":
            day = {"year": 2026, "month": 1, "mday": 1, "hour": 12, "min": 0, "sec": 0}
            return {"err_code": 0, **({"index": 39} if call == "get_timezone" else day)}
        if (module, call) != ("emeter", "get_realtime"):
            return {"err_code": -1, "err_msg": "module not support"}
        if self.kind == "HS110":
            shown = {"power": round(power_w, 6), "total": int(total_wh) / 1e3, "voltage": 231.1}
            return {"err_code": 0, "current": 0.1, **shown}
        shown = {"power_mw": round(power_w * 1e3), "total_wh": int(total_wh)}
        return {"err_code": 0, "current_ma": 100, "voltage_mv": 231_100, **shown}

    def _smart(self, request: Any) -> Any:
        if request["method"] == "multipleRequest":
            found = [self._smart(each) for each in request["params"]["requests"]]
            return {"error_code": 0, "result": {"responses": found}}
        power_w, _ = self.shown()
        known = {
            "component_nego": {
                "component_list": [
                    {"id": name, "ver_code": version}
                    for name, version in (("device", 2), ("energy_monitoring", 2))
                ]
            },
            "get_device_info": {
                "model": "P110",
                "type": "SMART.TAPOPLUG",
                "device_id": "0" * 40,
                "device_on": True,
                "fw_ver": "1.3.0 Build 230905 Rel.152200",
                "hw_ver": "1.0",
                "mac": MAC.replace(":", "-"),
                "nickname": "ZGVzaw==",
                "ssid": "ZGVzaw==",
                "region": "Europe/London",
            },
            "get_emeter_data": {
                "current_ma": 100,
                "energy_wh": 0,
                "power_mw": round(power_w * 1e3),
                "voltage_mv": 231_100,
            },
            "get_emeter_vgain_igain": {"igain": 11_000, "vgain": 125_000},
            "get_current_power": {"current_power": round(power_w)},
        }
        method = request["method"]
        if method not in known:
            return {"method": method, "error_code": -1002}
        return {"method": method, "error_code": 0, "result": known[method]}


def _xor(plug: FakeTplink) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(size := self.rfile.read(4)) == 4:
                if size[0]:  # no length of such a request, but another protocol
                    return
                text = XorEncryption.decrypt(self.rfile.read(struct.unpack(">I", size)[0]))
                if plug.fault == "offline":
                    return
                if plug.fault == "text":
                    self.wfile.write(XorEncryption.encrypt("<html>"))
                    continue
                answer = plug.answer(json.loads(text))
                self.wfile.write(XorEncryption.encrypt(json.dumps(answer)))

    return Handler


def _klap(plug: FakeTplink) -> type[BaseHTTPRequestHandler]:
    """Both sides derive the same keys from two seeds and the login."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            if self.connection.recv(1, socket.MSG_PEEK) == b"P":  # or it is not of this protocol
                super().handle()

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if plug.fault == "offline":
                self.close_connection = True
                return
            status, answer = self.answered(sent)
            self.send_response(status)
            self.send_header("Set-Cookie", "TP_SESSIONID=0123456789ABCDEF;TIMEOUT=86400")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def answered(self, sent: bytes) -> tuple[int, bytes]:
            second = plug.kind == "P110"
            if self.path == "/app/handshake1":
                own = secrets.token_bytes(16)
                plug.session = KlapEncryptionSession(sent, own, plug.auth_hash())
                seeds = sent + own if second else sent
                return 200, own + hashlib.sha256(seeds + plug.auth_hash()).digest()
            session = plug.session
            if session is None:
                return 403, b""
            if self.path == "/app/handshake2":
                seeds = session.remote_seed + (session.local_seed if second else b"")
                right = hashlib.sha256(seeds + plug.auth_hash()).digest()
                return (200 if sent == right else 403), b""
            session._seq = int(self.path.partition("seq=")[2])
            session._generate_cipher()
            request = json.loads(session.decrypt(sent))
            session._seq -= 1  # the next one encrypts under the same number
            encrypted, _ = session.encrypt(json.dumps(plug.answer(request)).encode())
            return 200, b"<html>" if plug.fault == "text" else encrypted

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
