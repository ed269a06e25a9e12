"""`selftest`: tests this installation and its figures on this machine in about a minute."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from harness.cli.doctor import check_line
from harness.energy.integration.windows import curves
from harness.energy.sensors.base import Sensor
from harness.energy.trace import Readings, Trace
from harness.errors import ExitCode
from harness.runner.method_check import Finding

WHAT_TO_DO = "install into a fresh environment; if it stays so, report it"


def try_installation(*, as_json: bool) -> ExitCode:
    """Try it and say what was found; 3 if something is not as it must be."""
    findings = []
    for finding in selftest():
        findings.append(finding)
        if not as_json:
            todo = None if finding.holds else WHAT_TO_DO
            click.echo(check_line(ok=finding.holds, text=finding.text, todo=todo))
    is_sound = all(finding.holds for finding in findings)
    if as_json:
        listed = [{"sound": each.holds, "what": each.text} for each in findings]
        click.echo(json.dumps({"sound": is_sound, "findings": listed}))
    return ExitCode.DONE if is_sound else ExitCode.RUNS_FAILED


POWER_W = 200.0
UPDATE_S = 0.1
_STUDY = ("quick", "dense", "early_bird", "--seed", "0", "--set", "training.epochs=2")


def selftest() -> Iterator[Finding]:
    """Try the integration on a known power, then a small study from its command to its page."""
    yield _known_power()
    with tempfile.TemporaryDirectory(prefix="energy-harness-") as scratch:
        yield from _small_study(Path(scratch) / "results")


def _known_power() -> Finding:
    """A board of constant power, whose counter moves ten times a second, seen through a window."""
    times_s = np.arange(0.0, 10.0, 0.005)
    counted_j = POWER_W * np.floor(times_s / UPDATE_S + 1e-6) * UPDATE_S
    counter = Sensor(
        "GPU", "a board", "gpu", "energy", "simulated", 0.0, resolution_j=0.001, update_s=UPDATE_S
    )
    none = np.array([], dtype=np.int64)
    readings = Readings(counter, (times_s * 1e9).astype(np.int64), counted_j, none)
    start_ns, end_ns = 2_030_000_000, 7_370_000_000
    curve = curves(Trace((readings,)), (start_ns, end_ns))[0]
    found = curve.between(start_ns, end_ns)
    truth_j = POWER_W * (end_ns - start_ns) * 1e-9
    error_j = found.energy_j - truth_j
    energies = f"{found.energy_j:.1f} J ± {found.uncertainty_j:.1f} J of {truth_j:.1f} J"
    is_sound = abs(error_j) <= max(found.uncertainty_j, 1e-3 * truth_j)
    return Finding(is_sound, f"a window that cuts a counter's steps: {energies}")


def _small_study(out: Path) -> Iterator[Finding]:
    command = [sys.executable, "-m", "harness", "run", *_STUDY, "--out", str(out)]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    if first.returncode != ExitCode.DONE:
        last = (first.stderr.strip() or first.stdout.strip()).splitlines()[-1:]
        yield Finding(False, f"a small study ended with {first.returncode}: {''.join(last)}")
        return
    yield Finding(True, "a small study runs from its command to its page")
    yield _adds_up(out)
    yield _page(out / "report" / "index.html")
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    trained = "epoch 1/" in again.stdout + again.stderr
    yield Finding(
        again.returncode == ExitCode.DONE and not trained, "the same command repeats no run"
    )


def _adds_up(out: Path) -> Finding:
    """Phases and overhead make the total of every run, to the joule."""
    from harness.results.table import Tables

    tables = Tables(out)
    worst_j = 0.0
    for _, run in tables.runs.iterrows():
        own = (tables.phases["arm"] == run["arm"]) & (tables.phases["seed"] == run["seed"])
        parts_j = math.fsum(tables.phases[own]["energy_j"])
        worst_j = max(worst_j, abs(parts_j - run["energy_j"]))
    energies = f"{len(tables.runs)} runs: phases and overhead are the total to {worst_j:.1e} J"
    return Finding(worst_j < 1e-6 * max(tables.runs["energy_j"]), energies)


def _page(page: Path) -> Finding:
    text = page.read_text("utf-8")
    outside = [mark for mark in ('src="http', "src='http", 'rel="stylesheet" href') if mark in text]
    return Finding(not outside, f"the page needs nothing from outside ({len(text) // 1000} kB)")
