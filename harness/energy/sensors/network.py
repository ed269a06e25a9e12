"""Asks a device on the network over HTTP: only the host that was named, and not for long."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.auth import HTTPDigestAuth

from harness.energy.sensors.base import SensorError

TIMEOUT_S = 0.9
"""For connecting, and for every part of the answer: both together are less than the 2 s after which
a device counts as hanging."""
ANSWER_S = 1.8
"""For the whole of it: a device that sends a byte now and then keeps every part's time."""
MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Credentials:
    """A user and a password, which come from the environment and are in no record.

    Attributes:
        user: "" for none.
        password: "" for none.
        variables: Where they are looked for, for messages.
    """

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    variables: str = ""

    @classmethod
    def of(cls, prefix: str, user: str = "") -> Credentials:
        """Those in `<prefix>_USER` and `<prefix>_PASSWORD`.

        Args:
            prefix: Of the environment variables.
            user: Where none is given, but a password.
        """
        names = f"{prefix}_USER", f"{prefix}_PASSWORD"
        given, password = (os.environ.get(name, "") for name in names)
        return cls(given or (user if password else ""), password, " and ".join(names))


class HttpDevice:
    """A device that answers with JSON.

    It follows no redirect, and uses no proxy and no `.netrc`: nothing but the named host is asked.

    Args:
        base: Such as "http://192.168.1.20".
        credentials: Sent if there are any.
        digest: By a digest of the password, not the password itself (RFC 7616).
        certificate: File of the authority that signed an https device's; None for the system's.
    """

    def __init__(
        self,
        base: str,
        credentials: Credentials,
        *,
        digest: bool = False,
        certificate: str | None = None,
    ) -> None:
        self._base = base
        self._credentials = credentials
        self._session = requests.Session()
        self._session.trust_env = False
        if certificate:
            self._session.verify = certificate
        if credentials.password:
            kept = credentials.user, credentials.password
            self._session.auth = HTTPDigestAuth(*kept) if digest else kept

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path.

        Raises:
            SensorError: There is none; its text holds no credentials.
        """
        ends_s = time.monotonic() + ANSWER_S
        try:
            with self._session.get(
                f"{self._base}{path}", timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
                text = _content(answer, ends_s)
        except requests.exceptions.SSLError:
            raise SensorError("its certificate is not trusted") from None
        except (requests.RequestException, OSError) as failure:
            raise SensorError(f"no answer ({type(failure).__name__})") from None
        if status in (401, 403):
            raise SensorError(f"wrong user or password ({self._credentials.variables})")
        if status != requests.codes.ok:
            where = ", a redirect, which is not followed" if status // 100 == 3 else ""
            raise SensorError(f"it answers with HTTP status {status}{where}")
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise SensorError("its answer is no JSON object")
        return found


def _content(answer: requests.Response, ends_s: float) -> bytes:
    """What an answer holds, if all of it comes in time."""
    found = b""
    while part := answer.raw.read1(MAX_BYTES, decode_content=True):
        found += part
        if len(found) > MAX_BYTES or time.monotonic() > ends_s:
            raise SensorError("its answer is too long, or takes too long")
    return found
