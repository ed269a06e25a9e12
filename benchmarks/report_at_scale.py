"""What a report on many long runs takes: time, memory, and the size of its page.

    python benchmarks/report_at_scale.py [--runs 1000] [--out DIR] [--json FILE]

Makes up studies of a quarter, a half and all of a number of runs (four methods with 160 epochs;
every run with an hour of trace of a stand-in GPU at 20 Hz, recorded in virtual time), and has
`python -m harness report` derive everything, as a child process. Needs Linux and a C compiler, no
GPU; a thousand runs take about five minutes, and 1.5 GB of disk meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report_at_scale.study import EPOCHS, METHODS, write_study
from benchmarks.report_at_scale.watched import Watched, watch

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 60.0
GOAL_MIB = 1024.0
GOAL_PAGE_MIB = 5.0
SHARES = (0.25, 0.5, 1.0)
LOAD = "import harness, sys; harness.load(sys.argv[1])"


def measured(folder: Path, runs: int) -> dict[str, Any]:
    """Make up a study, and report on it."""
    study = folder / f"study-{runs}"
    write_study(study, runs)
    loaded = _watch(folder, "-c", LOAD, str(study))
    reported = _watch(folder, "-m", "harness", "report", str(study))
    page = study / "report" / "index.html"
    return {
        "runs": runs,
        "load": loaded._asdict(),
        "report": reported._asdict(),
        "page_mib": page.stat().st_size / 2**20,
        "records_mib": sum(file.stat().st_size for file in study.glob("runs/**/*")) / 2**20,
    }


def _watch(folder: Path, *words: str) -> Watched:
    return watch([sys.executable, *words], folder, PYTHONPATH=str(ROOT))


def growth(records: list[dict[str, Any]], what: str) -> float | None:
    """What a report on all runs takes over one on half of them; two is linear."""
    taken = {each["runs"]: each["report"][what] for each in records}
    most = max(taken)
    return taken[most] / taken[most // 2] if most // 2 in taken else None


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        "# A report on many long runs",
        "",
        f"- Command: `{record['command']}`, {record['date']}",
        (
            f"- Machine: {record['machine']}; Python {record['python']}, "
            f"pyarrow {record['pyarrow']}, numpy {record['numpy']}, "
            f"matplotlib {record['matplotlib']}"
        ),
        (
            f"- Each run: {EPOCHS} epochs or more of {', '.join(METHODS)}, by turns, and an hour's "
            "trace of a stand-in GPU (counter, power at 20 Hz, states)"
        ),
        "",
        "| runs | records, MiB | reading, s | report, s | of CPU, s | peak, MiB | page, MiB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in record["studies"]:
        report = each["report"]
        lines.append(
            f"| {each['runs']} | {each['records_mib']:.0f} | {each['load']['wall_s']:.1f} "
            f"| {report['wall_s']:.1f} | {report['cpu_s']:.1f} | {report['peak_mib']:.0f} "
            f"| {each['page_mib']:.2f} |"
        )
    lines += [
        "",
        (
            "Reading is `harness.load` alone. The peak is of memory, of all the report's processes "
            "together; what they share counts once."
        ),
    ]
    ratios = record["growth"]
    if None not in ratios.values():
        lines.append(
            f"Twice the runs take {ratios['wall_s']:.2f} times as long, and "
            f"{ratios['cpu_s']:.2f} times the CPU time."
        )
    lines.append(
        f"To reach at 1,000 runs on two cores: {GOAL_S:g} s, {GOAL_MIB:g} MiB, a page of "
        f"{GOAL_PAGE_MIB:g} MiB."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=1000, help="of the largest study")
    parser.add_argument("--out", metavar="DIR", help="keep the studies there")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    counts = sorted({max(round(options.runs * share), 1) for share in SHARES})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.out or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        studies = [measured(folder, runs) for runs in counts]
    record = {
        "command": " ".join(["python", *sys.argv]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} {platform.machine()} cores, {platform.system()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("pyarrow", "numpy", "pandas", "matplotlib")},
        "studies": studies,
        "growth": {what: growth(studies, what) for what in ("wall_s", "cpu_s")},
    }
    sys.stdout.write(as_markdown(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
