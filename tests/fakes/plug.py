"""Smart plugs on a real HTTP server, that follow a known power.

    with FakePlug("shelly2", power_w=60.0) as plug:
        plug.address                      # such as shelly://127.0.0.1:40123
        plug.turn_to(now_ns)              # it shows that moment

The answers are those of the makers' documentation, with the figures replaced: Shelly Gen1 API
("/shelly", "/meter/0"), Shelly Gen2 RPC ("/shelly", "Switch.GetStatus"), Tasmota ("Status 10").
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.known_power import KnownPower

ABOUT: dict[str, dict[str, Any]] = {
    "shelly1": {
        "type": "SHPLG-S",
        "mac": "84F3EBB929CC",
        "auth": False,
        "fw": "20230913-113421/v1.14.0-gcb84623",
        "num_outputs": 1,
        "num_meters": 1,
    },
    "shelly2": {
        "name": None,
        "id": "shellyplusplugs-80646fd2ffdc",
        "mac": "80646FD2FFDC",
        "model": "SNPL-00112EU",
        "gen": 2,
        "fw_id": "20231107-164738/1.0.8-g8192e80",
        "ver": "1.0.8",
        "app": "PlusPlugS",
        "auth_en": False,
        "auth_domain": None,
    },
}
UNITS_J = {"shelly1": 60.0, "shelly2": 3600.0, "tasmota": 3.6e6}
DECIMALS = {"shelly1": 0, "shelly2": 3, "tasmota": 3}
BEGAN_S = 1_700_000_000


class FakePlug:
    """A plug.

    Args:
        kind: "shelly1", "shelly2" or "tasmota".
        power_w: What is drawn through it, until `power.draw` says otherwise.
        password: What it asks for.

    Attributes:
        fault: What it does in place of answering: "offline", "redirect", "text", "silent": it
            takes the request and says nothing, or "slow": a byte now and then.
        is_stale: Whether it stands still.
        is_live: Whether it follows the time by itself.
        fails_after: The number of requests after which it is offline.
        unit: What its counter is divided by in addition.
        asked: The paths that it was asked for.
    """

    def __init__(self, kind: str, power_w: float = 60.0, password: str = "") -> None:
        self.kind, self.password = kind, password
        self.power = KnownPower(power_w)
        self.fault: str | None = None
        self.is_stale = False
        self.is_live = False
        self.fails_after: int | None = None
        self.unit = 1.0
        self.asked: list[str] = []
        self._zero_ns = 0
        self._now_ns = 0
        self._nonce = secrets.token_hex(8)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"{self.kind.rstrip('12')}://127.0.0.1:{self.port}"

    def __enter__(self) -> FakePlug:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def turn_to(self, now_ns: int) -> None:
        """Show that moment."""
        if not self.is_stale:
            self._now_ns = now_ns

    def reset(self) -> None:
        """Begin counting from zero."""
        self._zero_ns = self._now_ns

    def shown(self) -> tuple[float, float, int]:
        """Power in W over the last second, the counter in its unit, and seconds since 1970."""
        second_ns = self._now_ns - self._now_ns % 1_000_000_000
        power_w = self.power.truth_j(second_ns - 1_000_000_000, second_ns)
        counted_j = self.power.truth_j(self._zero_ns, max(second_ns, self._zero_ns))
        scale = 10 ** DECIMALS[self.kind]
        total = int(counted_j / UNITS_J[self.kind] / self.unit * scale) / scale
        return power_w, total, BEGAN_S + second_ns // 1_000_000_000

    def status(self) -> dict[str, Any]:
        """Its state, as its API gives it."""
        power_w, total, now_s = self.shown()
        if self.kind == "shelly1":
            return {
                "power": round(power_w, 2),
                "overpower": 0.0,
                "is_valid": True,
                "timestamp": now_s - now_s % 60,
                "counters": [round(power_w, 3), 0.0, 0.0],
                "total": int(total),
            }
        if self.kind == "shelly2":
            return {
                "id": 0,
                "source": "init",
                "output": True,
                "apower": round(power_w, 1),
                "voltage": 237.5,
                "current": round(power_w / 237.5, 3),
                "aenergy": {
                    "total": total,
                    "by_minute": [0.0, 0.0, 0.0],
                    "minute_ts": now_s - now_s % 60,
                },
                "temperature": {"tC": 23.5, "tF": 74.3},
            }
        return {
            "StatusSNS": {
                "Time": datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
                "ENERGY": {
                    "TotalStartTime": "2023-01-01T00:00:00",
                    "Total": total,
                    "Yesterday": 0.0,
                    "Today": total,
                    "Power": round(power_w),
                    "ApparentPower": round(power_w) + 4,
                    "ReactivePower": 12,
                    "Factor": 0.98,
                    "Voltage": 231,
                    "Current": 0.27,
                },
            }
        }

    def answer(self, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and text for a request."""
        self.asked.append(path)
        if self.is_live:
            self.turn_to(time.monotonic_ns())
        parts = urlsplit(path)
        if self.fault == "redirect":
            return 302, {"Location": "http://127.0.0.1:9/elsewhere"}, b""
        if self.fault == "text":
            return 200, {}, b"<html>Welcome</html>"
        if parts.path == "/shelly" and self.kind in ABOUT:
            return 200, {}, json.dumps(ABOUT[self.kind]).encode()
        if self.password and (refused := self._refused(parts.query, headers)):
            return refused
        known = {"shelly1": "/meter/0", "shelly2": "/rpc/Switch.GetStatus", "tasmota": "/cm"}
        if parts.path != known[self.kind]:
            return 404, {}, b"Not Found"
        return 200, {}, json.dumps(self.status()).encode()

    def _refused(self, query: str, headers: Any) -> tuple[int, dict[str, str], bytes] | None:
        given = headers.get("Authorization", "")
        if self.kind == "tasmota":
            asked = parse_qs(query)
            if asked.get("password") == [self.password] and asked.get("user") == ["admin"]:
                return None
            warning = {"WARNING": "Need user=<username>&password=<password>"}
            return 200, {}, json.dumps(warning).encode()
        if self.kind == "shelly1":
            right = base64.b64encode(f"admin:{self.password}".encode()).decode()
            if given == f"Basic {right}":
                return None
            return 401, {"WWW-Authenticate": 'Basic realm="SHPLG-S"'}, b"401 Unauthorized"
        realm = ABOUT["shelly2"]["id"]
        if self._is_right_digest(given, realm):
            return None
        challenge = f'Digest qop="auth", realm="{realm}", nonce="{self._nonce}", algorithm=SHA-256'
        return 401, {"WWW-Authenticate": challenge}, b""

    def _is_right_digest(self, given: str, realm: str) -> bool:
        pairs = (each.partition("=") for each in given[7:].split(","))
        variables = {name.strip(): value.strip().strip('"') for name, _, value in pairs}

        def hashed(*words: str) -> str:
            return hashlib.sha256(":".join(words).encode()).hexdigest()

        user = hashed("admin", realm, self.password)
        request = hashed("GET", variables.get("uri", ""))
        middle = (variables.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return variables.get("response") == hashed(user, *middle, request)


def _handler(plug: FakePlug) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            is_over = plug.fails_after is not None and len(plug.asked) >= plug.fails_after
            if plug.fault == "offline" or is_over:
                self.close_connection = True
                return
            if plug.fault in ("silent", "slow"):
                self._dawdle(is_silent=plug.fault == "silent")
                return
            status, headers, text = plug.answer(self.path, self.headers)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def _dawdle(self, *, is_silent: bool) -> None:
            self.close_connection = True
            if not is_silent:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
            with contextlib.suppress(OSError):  # who asked has gone
                for _ in range(100):
                    time.sleep(0.02)
                    if not is_silent:
                        self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
