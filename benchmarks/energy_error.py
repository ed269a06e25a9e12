"""The error of every tool that measures a GPU's energy, on a stand-in GPU of known power.

    python benchmarks/energy_error.py [--quick] [--only NAME ...] [--trials N] [--json FILE]

In real time: about 7 minutes with --quick, 25 without. Needs Linux and a C compiler, no GPU. The
peers get an environment of their own, made with uv or pip from their pinned versions.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.energy_error.peers_env import peers_python, versions
from benchmarks.energy_error.runner import LANES, TOOLS, Runner
from benchmarks.energy_error.table import errors_table, summary, uncertainty_table
from tests.fakes.stand_in import build

TRIALS, QUICK_TRIALS = 3, 1


def main() -> None:
    """Run the rounds in a seeded random order, and print the tables."""
    options = _options()
    names = options.only or list(TOOLS)
    python = peers_python(options.peers_env) if any(TOOLS[n].package for n in names) else None
    trials = options.trials or (QUICK_TRIALS if options.quick else TRIALS)
    order = random.Random(options.seed)  # noqa: S311 - an order of trials is no secret
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(build(Path(folder)), Path(folder), python)
        for number in range(trials):
            for name in order.sample(names, len(names)):
                records += _round(runner, name, number, order)
                sys.stderr.write(f"round {number + 1} of {trials}: {name}\n")
    about = _about(python, records)
    text = _text(about, records, names)
    sys.stdout.write(text)
    if options.json:
        content = json.dumps({"about": about, "records": records}, indent=0)
        Path(options.json).write_text(content + "\n")


def _round(runner: Runner, name: str, number: int, order: random.Random) -> list[dict[str, Any]]:
    lanes: list[list[dict[str, Any]]] = []
    count = 0
    for waves in LANES:
        lane = []
        for wave in order.sample(waves, len(waves)):
            count += 1
            trial = number * 100 + count
            lane.append({"tool": name, "wave": wave, "number": trial, "seed": f"{wave} {trial}"})
        lanes.append(lane)
    return runner.round(name, lanes)


def _about(python: Path | None, records: list[dict[str, Any]]) -> dict[str, Any]:
    found = versions(python) if python else {}
    peers = sorted({tool.package for tool in TOOLS.values() if tool.package})
    return {
        "command": " ".join(["python", *sys.argv]),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} {platform.machine()} cores, {platform.system()}, no GPU",
        "python": platform.python_version(),
        "peers": {name: found[name] for name in peers if name in found},
        "trials": summary(records),
    }


def _text(about: dict[str, Any], records: list[dict[str, Any]], names: list[str]) -> str:
    peers = ", ".join(f"{name} {version}" for name, version in about["peers"].items())
    return f"""# Error on a stand-in GPU of known power

- Command: `{about["command"]}`, {about["date"]}
- Machine: {about["machine"]}; Python {about["python"]}; {peers}
- Trials of each tool: {about["trials"]}
- GPU: a counter updated every 100 ms; power sampled 25 of every 100 ms, with 0.5 % of noise; 80 W
  idle, 400 W loaded (10 % duty: 600 W); each trial begins at a random phase.

{errors_table(records, names)}

{uncertainty_table(records, names)}
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one round of trials instead of three")
    parser.add_argument("--only", nargs="+", choices=list(TOOLS), help="these tools alone")
    parser.add_argument("--trials", type=int, help="rounds of trials; bursts come four a round")
    parser.add_argument("--json", metavar="FILE", help="keep every trial's record there")
    parser.add_argument("--peers-env", metavar="PATH", help="an environment that has the peers")
    parser.add_argument("--seed", type=int, default=0, help="of the order and of the phases")
    return parser.parse_args()


if __name__ == "__main__":
    main()
