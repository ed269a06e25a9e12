"""What the sensors of a machine's parts miss: a meter of the whole beside NVML and RAPL.

    python benchmarks/whole_machine.py [--plug ADDRESS] [--out DIR] [-- COMMAND ...]

For a machine behind a plug, or a laptop on its battery: power of the whole and of its measured
parts while it idles, with one, half and all threads busy, and while COMMAND runs. What is between
the two is what power supply, fans, disks and boards take, with its uncertainty.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.energy.calibration import busy
from harness.energy.measurement import Measurement
from harness.energy.sensors.base import MeterSetup
from harness.energy.trace import Trace
from harness.energy.window_energy import measured
from harness.settings.settings import EnergySettings

SETTLE_S = 3.0
LEVEL_S = 120.0
"""A plug of 1 Wh or a battery needs minutes; one that counts in mWh would do with seconds."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--plug", action="append", default=[], metavar="ADDRESS")
    parser.add_argument("--out", type=Path, help="folder for the figures as JSON")
    parser.add_argument("--level-s", type=float, default=LEVEL_S, help="length of each level")
    parser.add_argument("--settle-s", type=float, default=SETTLE_S, help="wait before each")
    parser.add_argument("command", nargs="*", help="a further load")
    given = parser.parse_args()
    more = {"plugs": tuple(given.plug)} if given.plug else {}
    settings = EnergySettings(idle_s=0.0, **more)
    trace, windows = record(settings, given.level_s, given.settle_s, given.command)
    rows = [_row(trace, *window) for window in windows]
    if all(row["missed"] is None for row in rows):
        notes = "; ".join(trace.notes)
        sys.exit(f"no meter of the whole machine beside one of its parts: {notes}")
    sys.stdout.write("\n".join([*_table(rows), ""]))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        report = {
            "host": platform.node(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "sensors": [readings.sensor.name for readings in trace.readings],
            "levels": rows,
        }
        (given.out / "whole_machine.json").write_text(json.dumps(report, indent=2) + "\n")


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of the description as they are."""


def record(
    settings: EnergySettings, level_s: float, settle_s: float, command: Sequence[str]
) -> tuple[Trace, list[tuple[str, int, int]]]:
    """Idle, loads and the command, one after the other.

    Returns:
        What was recorded, and of each level its name, start and end on the monotonic clock.
    """
    threads = os.cpu_count() or 1
    windows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        with Measurement(path, settings, MeterSetup(os.getpid(), None, 0.0, "")) as running:
            for number in dict.fromkeys((0, 1, max(threads // 2, 1), threads)):
                with busy(number) if number else nullcontext():
                    time.sleep(settle_s)
                    start_ns = running.mark()
                    time.sleep(level_s)
                    name = f"{number} busy threads" if number else "idle"
                    windows.append((name, start_ns, running.mark()))
            if command:
                start_ns = running.mark()
                subprocess.run(command, check=False)
                windows.append((" ".join(command), start_ns, running.mark()))
        return running.recorded, windows


def _row(trace: Trace, name: str, start_ns: int, end_ns: int) -> dict[str, Any]:
    found = measured(trace, start_ns, end_ns)
    gap, seconds = found.missed, found.duration_s
    return {
        "load": name,
        "duration_s": seconds,
        "machine_w": gap and gap.machine_j / seconds,
        "parts_w": gap and gap.parts_j / seconds,
        "missed": gap and asdict(gap),
        "flags": list(found.flags),
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["load | machine, W | parts, W | missed, % of the machine", "---|---|---|---"]
    for row in rows:
        gap = row["missed"]
        share = f"{gap['share']:.1%} ± {gap['uncertainty']:.1%}" if gap else "not observed"
        both = (f"{row[key]:.2f}" if gap else "–" for key in ("machine_w", "parts_w"))
        lines.append(" | ".join([row["load"], *both, share]))
    return lines


if __name__ == "__main__":
    main()
