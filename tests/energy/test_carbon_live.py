"""A live service as it may answer: well, wrongly, late or never. The key goes nowhere else."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from codecarbon.core import electricitymaps_api

from harness.energy.carbon import series as carbon_live
from harness.results.carbon import ask_live
from harness.results.folder import StudyFolder
from harness.settings.settings import Carbon
from harness.utils.jsonl import read_log
from tests.conftest import Harness

SECRET = "a-key-to-keep"  # noqa: S105 - it opens nothing


class Service(ThreadingHTTPServer):
    """Stands for Electricity Maps; `answer` is what it says, `asked` what it was asked."""

    daemon_threads = True
    status = 200
    answer = "{}"
    delay_s = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["auth-token"]))
        time.sleep(self.server.delay_s)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer.encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    electricitymaps_api.reset_cache()
    monkeypatch.setenv(carbon_live.KEY, SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Service() as server:
        monkeypatch.setattr(electricitymaps_api, "URL", f"http://127.0.0.1:{server.server_port}/x")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    electricitymaps_api.reset_cache()


def test_an_answer_is_recorded_in_kilograms_with_its_time(service: Service) -> None:
    service.answer = json.dumps({"zone": "DE", "carbonIntensity": 312})
    before = datetime.now(UTC).replace(microsecond=0)
    record = carbon_live.ask("DEU")
    assert before <= datetime.fromisoformat(record.pop("time")) <= datetime.now(UTC)
    assert record == {"provider": "electricitymaps", "country": "DEU", "kg_per_kwh": 0.312}
    assert service.asked == [("/x?countryCode=DE", SECRET)]


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (401, '{"error": "Invalid auth-token"}', "Invalid auth-token"),
        (403, f"your key {SECRET} may not", "your key *** may not"),
        (500, "x" * 5000, "ElectricityMapsAPIError: xxx"),
        (200, "<html>\nlog in</html>", "JSONDecodeError"),
        (200, "{}", "No carbonIntensity"),
        (200, "[312]", "AttributeError"),
        (200, '{"carbonIntensity": "lots"}', "no carbon intensity: 'lots'"),
        (200, '{"carbonIntensity": -5}', "no carbon intensity: -5"),
        (200, '{"carbonIntensity": NaN}', "no carbon intensity: nan"),
        (200, '{"carbonIntensity": 1e9}', "no carbon intensity: 1000000000.0"),
        (200, '{"carbonIntensity": [312]}', "no carbon intensity: [312]"),
    ],
)
def test_a_bad_answer_is_an_error_on_record(
    service: Service, status: int, answer: str, message: str
) -> None:
    service.status, service.answer = status, answer
    record = carbon_live.ask("DEU")
    assert "kg_per_kwh" not in record
    assert message in record["error"]
    assert len(record["error"]) <= 200
    assert "\n" not in record["error"]
    assert SECRET not in str(record)


def test_no_answer_in_time_is_an_error_on_record(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carbon_live, "TIMEOUT_S", 0.1)
    service.delay_s = 0.5
    assert carbon_live.ask("DEU")["error"] == "no answer within 0.1 s"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "no key"),
        (" \n", "no key"),
        ("two\nlines", "a character"),
        ("schlüssel", "a character"),
    ],
)
def test_a_missing_or_impossible_key_is_never_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch, key: str, message: str
) -> None:
    monkeypatch.setenv(carbon_live.KEY, key)
    record = carbon_live.ask("DEU")
    assert message in record["error"]
    assert carbon_live.KEY in record["error"]
    assert "lines" not in str(record)
    assert service.asked == []


@pytest.mark.usefixtures("service")
def test_a_refused_connection_is_an_error_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(
            electricitymaps_api, "URL", f"http://127.0.0.1:{closed.getsockname()[1]}"
        )
        assert "ConnectionError" in carbon_live.ask("DEU")["error"]


@pytest.mark.parametrize(
    ("site", "asks"),
    [
        ({"live": "electricitymaps"}, 1),
        ({"live": "electricitymaps", "kg_per_kwh": 0.3}, 0),
        ({"live": "electricitymaps", "series": "grid.csv"}, 0),
        ({}, 0),
    ],
)
def test_it_is_asked_only_if_it_counts(
    service: Service, tmp_path: Path, site: dict[str, Any], asks: int
) -> None:
    service.answer = json.dumps({"carbonIntensity": 312})
    assert ask_live(StudyFolder(tmp_path), Carbon(country="DEU", **site)) is None
    assert len(service.asked) == asks
    assert len(read_log(tmp_path / "carbon_live.jsonl")) == asks


def test_a_study_whose_service_cannot_be_reached_runs_and_keeps_the_key_to_itself(
    harness: Harness, tmp_path: Path
) -> None:
    words = ["dense", "--seed", "0", "--out", "out", "--set", "training.epochs=1"]
    live = ["--set", "carbon.country=DEU", "--set", "carbon.live=electricitymaps"]
    nowhere = {carbon_live.KEY: SECRET, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}
    ended = harness(*words, *live, env=nowhere)
    assert ended.returncode == 0
    assert "note: no live carbon intensity (ProxyError" in ended.stderr
    table = (tmp_path / "out" / "runs.csv").read_text()
    assert "Germany 2023, life cycle" in table
    assert "no live intensity: ProxyError" in table
    again = harness(*words, *live, env=nowhere)
    assert again.returncode == 0
    assert len(read_log(tmp_path / "out" / "carbon_live.jsonl")) == 1, "there was nothing to run"
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not any(SECRET.encode() in content for content in files)
    assert SECRET not in ended.stdout + ended.stderr
