"""Ten thousand runs on 512 GPUs: how long a person waits for `plan` and `status`, and for the runs.

    python benchmarks/schedule.py [--runs 10000] [--repeats 3] [--json FILE]

Makes up a results folder of four methods, half of its runs done (an epoch a line in each journal),
and has `python -m harness` plan and tell, as child processes. Then simulates the queue: runs in the
harness' own order, as long as their method's epochs say, each a little longer or shorter, on more
and more GPUs. Needs Linux and a C compiler, no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report_at_scale.study import EPOCHS, METHODS, write_study
from harness.method.dry_run import planned_epochs
from harness.method.phases import Budget
from harness.results.folder import StudyFolder
from harness.scheduler.ordering import in_random_order, makespan_s
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 5.0
GPUS = (1, 8, 64, 256, 512, 1024, 4096)
EPOCH_S = 20.0
SPREAD = 0.1
"""How much runs of one method differ in length, as a share of it."""


def made_up(folder: Path, runs: int) -> list[RunSpec]:
    """A study of this many runs, the first half of them done."""
    write_study(folder, 2 * len(METHODS))  # real journals and traces, to copy
    place = StudyFolder(folder)
    study = place.study()
    seeds = range(-(-runs // len(METHODS)))
    study = Study.model_validate(study.model_dump() | {"seeds": list(seeds)})
    specs = expand(study, Registry.discover())[:runs]
    place.bind(study, specs)
    examples = {spec.method: place.run(spec) for spec in specs[: 2 * len(METHODS)]}
    for spec in specs[2 * len(METHODS) : runs // 2]:
        run, example = place.run(spec), examples[spec.method]
        run.path.mkdir(parents=True)
        run.spec.write_text(spec.model_dump_json(indent=2))
        shutil.copy(example.journal, run.journal)
        for trace in example.path.glob("trace-*"):
            os.link(trace, run.path / trace.name)
    return specs


def waited_s(folder: Path, repeats: int, *words: str) -> float:
    """The median time that a command takes."""
    taken = []
    for _ in range(repeats):
        begins = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "harness", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        taken.append(time.perf_counter() - begins)
    return statistics.median(taken)


def simulated(specs: list[RunSpec]) -> list[dict[str, float]]:
    """How long all runs take on more and more GPUs, and how busy these are."""
    registry = Registry.discover()
    ordered = in_random_order(specs, lambda _: [])
    rng = np.random.default_rng(0)
    epochs = {
        name: planned_epochs(registry.get(name)(**values), Budget(EPOCHS))
        for name, values in METHODS.items()
    }
    lengths = [EPOCH_S * epochs[spec.method] * float(rng.lognormal(0, SPREAD)) for spec in ordered]
    spans = {gpus: makespan_s(lengths, gpus) for gpus in GPUS}
    return [
        {
            "gpus": gpus,
            "makespan_h": span_s / 3600,
            "speedup": spans[1] / span_s,
            "busy": sum(lengths) / (gpus * span_s),
            "over_best": span_s / max(sum(lengths) / gpus, *lengths),
        }
        for gpus, span_s in spans.items()
    ]


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"# {record['runs']:,} runs",
        "",
        f"- Command: `{record['command']}`, {record['date']}",
        f"- Machine: {record['machine']}, Python {record['python']}",
        (
            f"- Results folder: {record['runs']:,} runs, half of them done; median of "
            f"{record['repeats']} calls; goal: under {GOAL_S:g} s"
        ),
        "",
        "| command | time |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {taken:.2f} s |" for name, taken in record["commands_s"].items()]
    lines += [
        "",
        (
            f"The queue, simulated: {EPOCH_S:g} s an epoch of {EPOCHS}, lengths within a method "
            f"log-normal with {SPREAD:.0%} spread, in the order in which the harness gives turns."
        ),
        "`over best`: the makespan over a bound that no schedule can beat.",
        "",
        "| GPUs | makespan | speed-up | GPUs busy | over best |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each['gpus']} | {each['makespan_h']:,.1f} h | {each['speedup']:,.0f}× | "
        f"{each['busy']:.1%} | {each['over_best']:.3f} |"
        for each in record["schedule"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, simulate, and write both forms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "study"
        specs = made_up(folder, asked.runs)
        study = Path(scratch) / "study.json"
        words = _study_file(folder, study.with_suffix(".toml"))
        commands = {
            "plan --at-once 512": waited_s(
                Path(scratch),
                asked.repeats,
                "plan",
                words,
                "--out",
                str(folder),
                "--at-once",
                "512",
            ),
            "status": waited_s(Path(scratch), asked.repeats, "status", str(folder)),
        }
    record = {
        "command": " ".join(["python", "benchmarks/schedule.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, shared",
        "python": platform.python_version(),
        "runs": asked.runs,
        "repeats": asked.repeats,
        "commands_s": commands,
        "schedule": simulated(specs),
    }
    if asked.json:
        asked.json.write_text(json.dumps(record, indent=1) + "\n")
        asked.json.with_suffix(".md").write_text(as_markdown(record))
    print(as_markdown(record))  # noqa: T201


def _study_file(folder: Path, path: Path) -> str:
    """The saved study as a person would have written it."""
    study = StudyFolder(folder).study()
    lines = [f'name = "{study.name}"', f"seeds = {list(study.seeds)}", "[workload]"]
    lines += [f'data = "{study.workload.data}"', f'model = "{study.workload.model}"']
    lines += ["[training]", f"epochs = {study.training.epochs}"]
    for name, values in METHODS.items():
        lines += [f"[methods.{name}]", *(f"{key} = {value}" for key, value in values.items())]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


if __name__ == "__main__":
    main()
