"""The Prometheus endpoint, scraped while a study runs."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections import defaultdict
from http.client import HTTPException
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.scheduler.started import called, started


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def _scraped(port: int) -> dict[str, list[tuple[dict[str, str], float]]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            found[sample.name].append((sample.labels, sample.value))
    return found


def test_a_scraper_sees_runs_while_they_run(tmp_path: Path) -> None:
    port = _free_port()
    words = ("dense", "--seed", "0", "--seed", "1", "--set", "training.epochs=8", "--no-report")
    words += ("--set", "workload.train_samples=720", "--metrics", str(port))
    process = started(tmp_path, *words)
    seen = []
    while process.poll() is None:
        try:
            seen.append(_scraped(port))
        except (OSError, HTTPException):  # it does not listen yet, or not any more
            time.sleep(0.1)
        time.sleep(0.2)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    drawn = [each["energy_harness_energy_joules_total"] for each in seen]
    last = {labels["seed"]: joules for labels, joules in drawn[-1]}
    assert max(last.values()) > 0
    labels = [labels for each in drawn for labels, _ in each]
    assert all(each["study"] == "quick" and each["arm"] == "dense" for each in labels)
    assert {each["source"] for each in labels} == {"estimated"}
    states = {each["state"] for scrape in seen for each, _ in scrape["energy_harness_run"]}
    assert states >= {"running", "done"}
    scores = [each for scrape in seen for each in scrape["energy_harness_validation_score"]]
    assert scores
    assert all(0 <= score <= 1 and labels["metric"] == "accuracy" for labels, score in scores)
    assert max(v for scrape in seen for _, v in scrape["energy_harness_epochs_total"]) > 1
    # The endpoint ends with the command.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_place_that_cannot_be_served_is_reported_before_any_run(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"), "--no-report")
    ended = called("run", "dense", "--seed", "0", "--metrics", "here", *out)
    assert ended.returncode == 2
    assert "must be PORT or HOST:PORT" in ended.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = called("run", "dense", "--seed", "0", "--metrics", str(port), *out)
    assert ended.returncode == 2
    assert f"--metrics {port}:" in ended.stderr
