"""What work on another core does to the estimate of a run that keeps to its own.

The same short run of each bed in turns, alone and beside a process that multiplies matrices on
another core. An estimate is CPU time x watts, so it rises by as much as the same work took longer:

    taskset -c 1 python benchmarks/other_work.py --other-core 0 --json benchmarks/other_work.json \
        > benchmarks/other_work.md
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.paired import at_least, circumstances, factor, heading, in_turns, ratio  # noqa: E402
from harness import load  # noqa: E402

BEDS = {
    "laptop-vision": ("workload.train_samples=12000", "training.epochs=1"),
    "laptop-text": ("training.epochs=1",),
}
"""By study, what makes its dense run a short one."""
BUSY = """
import numpy as np
matrix = np.random.default_rng(0).random((700, 700))
while True:
    matrix @ matrix
"""


def estimated(bed: str, other_core: int | None) -> dict[str, float]:
    """Estimated energy, duration and test score of a run; beside other work if a core is named."""
    changes = [word for each in BEDS[bed] for word in ("--set", each)]
    pinned = ["taskset", "-c", str(other_core), sys.executable, "-c", BUSY]
    neighbour = subprocess.Popen(pinned) if other_core is not None else None
    try:
        with tempfile.TemporaryDirectory() as out:
            words = ["run", bed, "dense", "--seed", "0", *changes, "--no-report", "--out", out]
            subprocess.run(
                [sys.executable, "-m", "harness", *words],
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
                capture_output=True,
                check=True,
            )
            [row] = load(out).to_dict("records")
    finally:
        if neighbour:
            neighbour.kill()
            neighbour.wait()
    return {key: float(row[key]) for key in ("energy_j", "duration_s", "test_score")}


def compared(bed: str, rounds: int, other_core: int) -> dict[str, Any]:
    """Beside over alone, of energy and duration."""
    ways = {"alone": partial(estimated, bed, None), "beside": partial(estimated, bed, other_core)}
    found = in_turns(ways, rounds)
    scores = {each["test_score"] for way in found.values() for each in way}
    ratios = {
        key: ratio(*([each[key] for each in found[way]] for way in ("beside", "alone")))
        for key in ("energy_j", "duration_s")
    }
    return {"ratios": ratios, "one_score": len(scores) == 1, "records": found}


def table(record: dict[str, Any]) -> str:
    """What the other core does, as Markdown."""
    lines = [
        *heading(record, "What work on the other core does to a run's estimate"),
        f"- Beside over alone, mean and 95 % interval of {record['rounds']} rounds, in turns",
        "",
        "| bed | estimated energy | duration | the same score |",
        "|---|---:|---:|---|",
    ]
    for bed, case in record["cases"].items():
        ratios = [factor(case["ratios"][key]) for key in ("energy_j", "duration_s")]
        lines.append(f"| {bed} | {' | '.join(ratios)} | {'yes' if case['one_score'] else 'no'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=at_least(2), default=6)
    parser.add_argument("--other-core", type=int, required=True, help="which core to keep busy")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    cases = {bed: compared(bed, options.rounds, options.other_core) for bed in BEDS}
    record = {**circumstances(), "rounds": options.rounds, "cases": cases}
    sys.stdout.write(table(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
