"""A server's management controller that speaks Redfish, over HTTP or HTTPS.

Its resources are those of the DMTF's mockup of a rack server (DSP2043, "public-rackmount1"),
reduced to what a reader of power asks for, with the power replaced.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fakes.known_power import KnownPower

ROOT = "/redfish/v1/Chassis"
SECOND = 1_000_000_000


class FakeController:
    """A controller.

    Args:
        schema: "Power" or "EnvironmentMetrics".
        power_w: What the server draws.
        login: User and password, joined by a colon.
        certificate: Files of a certificate and its key, for HTTPS.
        chassis: Names of the chassis that measure power.

    Attributes:
        is_offline: Whether it answers nothing.
    """

    def __init__(
        self,
        schema: str = "Power",
        power_w: float = 344.0,
        login: str = "",
        certificate: tuple[Path, Path] | None = None,
        chassis: tuple[str, ...] = ("1U",),
    ) -> None:
        self.schema, self.login, self.chassis = schema, login, chassis
        self.power = KnownPower(power_w)
        self.is_offline = False
        self.asked: list[str] = []
        self._now_ns = 0
        self._is_tls = certificate is not None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def address(self) -> str:
        kind = "redfish" if self._is_tls else "redfish+http"
        return f"{kind}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeController:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def turn_to(self, now_ns: int) -> None:
        """Show that moment."""
        self._now_ns = now_ns

    def answer(self, path: str, login: str | None) -> tuple[int, Any]:
        """Status and resource."""
        self.asked.append(path)
        right = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and login != right:
            return 401, {"error": {"code": "Base.1.0.InsufficientPrivilege"}}
        if path == ROOT:
            names = (*self.chassis, "Sled0")
            return 200, {"Members": [{"@odata.id": f"{ROOT}/{name}"} for name in names]}
        name = path.removeprefix(f"{ROOT}/").partition("/")[0]
        if path == f"{ROOT}/{name}":
            about = {"@odata.id": path, "Id": name, "ChassisType": "RackMount"}
            if name in self.chassis:
                about[self.schema] = {"@odata.id": f"{path}/{self.schema}"}  # type: ignore[assignment]
            return 200, about
        if path == f"{ROOT}/{name}/{self.schema}":
            return 200, self._shown()
        return 404, {"error": {"code": "Base.1.0.ResourceMissingAtURI"}}

    def _shown(self) -> dict[str, Any]:
        end_ns = self._now_ns - self._now_ns % SECOND
        watts = round(self.power.truth_j(end_ns - SECOND, end_ns))
        if self.schema == "EnvironmentMetrics":
            return {"Id": "EnvironmentMetrics", "PowerWatts": {"Reading": watts}}
        control = {
            "MemberId": "0",
            "Name": "Server Power Control",
            "PowerConsumedWatts": watts,
            "PowerRequestedWatts": 800,
            "PowerMetrics": {"IntervalInMin": 30, "AverageConsumedWatts": 319},
        }
        return {"Id": "Power", "PowerControl": [control]}


def certificate(folder: Path) -> tuple[Path, Path]:
    """Files of a certificate for 127.0.0.1 and of its key."""
    made, key = folder / "certificate.pem", folder / "key.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bmc"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made]
    subprocess.run([*words.split(), *names], check=True, capture_output=True)
    return made, key


def _handler(controller: FakeController) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if controller.is_offline:
                self.close_connection = True
                return
            status, found = controller.answer(self.path, self.headers.get("Authorization"))
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
