"""Does the stated uncertainty of an energy hold the truth as often as it claims?

Draws windows of loads whose power is known exactly, sees them through models of the sensors of
several generations of GPUs (the tests' stand-in for NVML), records them with the harness's own
recorder in virtual time, and compares what is found with what was drawn:

    python benchmarks/energy_coverage.py --windows 1000

The gain of every board is drawn from its stated uncertainty, as are phases, latencies and noise.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.energy.scenarios import LOCKED, MODELS, SLOW_MODELS, WAVES, Drawn, window
from tests.fakes.stand_in import build

SENSORS: dict[str, dict[str, Any]] = {
    **{
        f"{model}, {'counter' if counter else 'power alone'}": {"model": model, "counter": counter}
        for model in MODELS
        for counter in (True, False)
    },
    **{model: {"model": model} for model in SLOW_MODELS},
    "a100, counter, 8 boards": {"model": "a100", "boards": 8, "call_ms": 1.0},
}
"""A call of the driver takes 1 ms where there are eight boards."""
COLUMNS = (
    ("windows", "windows", "d"),
    ("total", "covered", ".1%"),
    ("rest", "covered without gain", ".1%"),
    ("error", "mean error without gain", "+.2%"),
    ("off", "mean |error|", ".2%"),
    ("worst", "worst", ".2%"),
    ("stated", "mean stated uncertainty", ".2%"),
    ("stated_rest", "mean stated without gain", ".2%"),
)
"""Name, what it is, format."""


@click.command(help=__doc__)
@click.option("--windows", default=1000, help="How many for each sensor.")
@click.option("--seed", default=0)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
def main(windows: int, seed: int, json_file: Path | None) -> None:
    """Print the table."""
    click.echo(f"$ python {' '.join(['benchmarks/energy_coverage.py', *sys.argv[1:]])}")
    click.echo(_setting())
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        for name, sensor in SENSORS.items():
            found[name] = _table(name, _windows(library, windows, seed, sensor))
    if json_file:
        json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _setting() -> str:
    machine = f"{platform.machine()} machine with {os.cpu_count()} cores"
    cores = f"{machine}, in virtual time: its speed does not matter"
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    pynvml = f"nvidia-ml-py {version('nvidia-ml-py')}"
    legend = "\n".join(f"{name:>12}: {text}" for name, text, _ in COLUMNS)
    return f"{datetime.now(UTC):%Y-%m-%d}; {versions}, {pynvml}; {cores}\n\n{legend}"


def _windows(library: Path, count: int, seed: int, sensor: dict[str, Any]) -> list[Drawn]:
    waves = sorted(WAVES)
    return [
        window(
            library,
            library.parent,
            wave=waves[number % len(waves)],
            seed=seed * count + number,
            **sensor,
        )
        for number in range(count)
    ]


def _table(name: str, drawn: Sequence[Drawn]) -> dict[str, Any]:
    """Print the lines of one sensor; returns the figures by waveform."""
    click.echo("\n" + f"{name:28}" + "".join(f"{column:>12}" for column, _, _ in COLUMNS))
    rows = {"all": _figures(drawn)}
    rows |= {wave: _figures(each for each in drawn if each.wave == wave) for wave in WAVES}
    rows["those not locked"] = _figures(each for each in drawn if each.wave not in LOCKED)
    for row, figures in rows.items():
        cells = [f"{figures[column]:{form}}" for column, _, form in COLUMNS]
        click.echo(f"  {row:26}" + "".join(f"{cell:>12}" for cell in cells))
    return rows


def _figures(some: Iterable[Drawn]) -> dict[str, float]:
    drawn = list(some)
    errors = np.array([each.error for each in drawn])
    return {
        "windows": len(drawn),
        "total": float(np.mean([each.is_covered for each in drawn])),
        "rest": float(np.mean([each.rest_is_covered for each in drawn])),
        "error": float(errors.mean()),
        "off": float(np.abs(errors).mean()),
        "worst": float(np.abs(errors).max()),
        "stated": float(np.mean([each.joules.uncertainty_j / each.truth_j for each in drawn])),
        "stated_rest": float(np.mean([each.rest_j / each.sensed_j for each in drawn])),
    }


if __name__ == "__main__":
    main()
