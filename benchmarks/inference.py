"""What pruning saves at inference: energy and latency a sample, dense against shrunk networks.

    python benchmarks/inference.py [--rounds N] [--json FILE]

VGG-16, a small vision transformer and a small GPT with half and 70 % of their units removed evenly,
in PyTorch and in ONNX Runtime, at batch 1 and 32, on one thread of the CPU. The networks of one
line of the table take turns, in random order; energy is the harness' estimate, CPU time times one
power per thread, so that its ratios are those of CPU time. About 4 minutes if nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import at_least, circumstances, factor, heading, in_turns, ratio, timed
from harness.energy.sensors.estimate import watts_per_thread
from harness.network.formats.base import FORMATS, Infer, Place
from harness.network.formats.torch_export import in_torch
from harness.pruning.batch import Batch
from harness.pruning.channels import missing_gates, shrink
from harness.pruning.cost import size_of
from harness.pruning.gates import fold_gates
from harness.pruning.groups import scaled_norms
from harness.pruning.questions import uniform_channels
from harness.settings.catalogue import resolve_model

SHAPES: dict[str, tuple[int, ...]] = {
    "vgg16": (3, 32, 32),
    "vit_tiny": (3, 32, 32),
    "gpt_tiny": (128,),
}
OUTPUTS = {"vgg16": 10, "vit_tiny": 10, "gpt_tiny": 96}
REMOVED = (0.0, 0.5, 0.7)
BATCHES = (1, 32)
LEG_S = 0.2
"""A network's turn lasts so long."""


def inputs_of(model: str, count: int) -> Tensor:
    """Seeded inputs: normal, or equally likely tokens."""
    generator = torch.Generator().manual_seed(1)
    shape = (count, *SHAPES[model])
    if len(shape) == 2:
        return torch.randint(OUTPUTS[model], shape, generator=generator)
    return torch.randn(shape, generator=generator)


def network_of(model: str, removed: float) -> nn.Module:
    """The network with this share of its units removed, in evaluation mode."""
    torch.manual_seed(0)
    network: nn.Module = resolve_model(model)(SHAPES[model][0], OUTPUTS[model])
    if not removed:
        return network.eval()
    samples = inputs_of(model, 2)
    if not scaled_norms(network):
        missing_gates(network, samples).insert(network)
    batch = Batch(samples, torch.zeros(2, dtype=torch.int64))
    shrink(network, uniform_channels(1 - removed)(network, batch), samples)
    return fold_gates(network).eval()


def opened(network: nn.Module, runtime: str, inputs: Tensor, folder: Path) -> Infer:
    """The network in a runtime, on one thread, once it was found to compute the same there."""
    if runtime == "pytorch":
        return in_torch(network, Place())
    path = FORMATS["onnx"].write(network, inputs[:2], folder)
    infer = FORMATS["onnx"].open_file(path, Place())
    with torch.no_grad():
        torch.testing.assert_close(infer(inputs), network(inputs), rtol=1e-4, atol=1e-4)
    return infer


def turn_of(infer: Infer, inputs: Tensor) -> Callable[[], dict[str, float]]:
    """A function that calls a network for a while and says what a sample took."""
    infer(inputs)
    begun = time.perf_counter()
    infer(inputs)
    calls = max(1, round(LEG_S / (time.perf_counter() - begun)))

    def call() -> None:
        for _ in range(calls):
            infer(inputs)

    def turn() -> dict[str, float]:
        taken = timed(call, torch.device("cpu"))
        return {key: value / (calls * len(inputs)) for key, value in taken.items()}

    return turn


def compare(model: str, runtime: str, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each batch size and network."""
    networks = {removed: network_of(model, removed) for removed in REMOVED}
    most = inputs_of(model, max(BATCHES))
    sizes = {removed: size_of(each, most[:1], {}) for removed, each in networks.items()}
    files = {r: opened(each, runtime, most, folder / f"{r}") for r, each in networks.items()}
    rows = []
    for batch in BATCHES:
        turns = {str(r): turn_of(infer, most[:batch]) for r, infer in files.items()}
        in_turns(turns, 1)
        found = in_turns(turns, rounds, seed=1)
        for removed, size in sizes.items():
            legs, dense = found[str(removed)], found[str(REMOVED[0])]
            both = {key: [[leg[key] for leg in each] for each in (dense, legs)] for key in legs[0]}
            rows.append(
                {
                    "model": model,
                    "runtime": runtime,
                    "batch": batch,
                    "removed": removed,
                    "macs": size.macs / sizes[REMOVED[0]].macs,
                    "parameters": size.parameters / sizes[REMOVED[0]].parameters,
                    "less_energy": ratio(*both["cpu_s"]) if removed else None,
                    "less_time": ratio(*both["s"]) if removed else None,
                    "cpu_s": both["cpu_s"][1],
                    "s": both["s"][1],
                }
            )
    return rows


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    estimate = (
        f"- Energy is an estimate: CPU time × {record['watts']:g} W a busy thread "
        f"({record['watts_note']}). Its ratios are those of CPU time. What is *× less* than dense "
        "is of turns within one round, with 95 % intervals over rounds; absolute figures are "
        "medians, of a machine that others use, too"
    )
    columns = {
        "network": "---",
        "units removed": "---:",
        "MACs, × less": "---:",
        "parameters, × less": "---:",
        "runtime": "---",
        "batch": "---:",
        "energy a sample, mJ": "---:",
        "latency a sample, ms": "---:",
        "energy, × less": "---:",
        "latency, × less": "---:",
    }
    lines = [
        *heading(record, "What pruning saves at inference"),
        f"- Rounds: {record['rounds']}, threads: 1; ONNX Runtime {record['onnxruntime']}",
        estimate,
        "",
        f"| {' | '.join(columns)} |",
        f"|{'|'.join(columns.values())}|",
    ]
    for row in record["rows"]:
        less = [factor(row[key]) if row[key] else "" for key in ("less_energy", "less_time")]
        lines.append(
            f"| {row['model']} | {row['removed']:.0%} | {1 / row['macs']:.3g} | "
            f"{1 / row['parameters']:.3g} | {row['runtime']} | {row['batch']} | "
            f"{1e3 * record['watts'] * statistics.median(row['cpu_s']):.3g} | "
            f"{1e3 * statistics.median(row['s']):.3g} | {less[0]} | {less[1]} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--rounds", type=at_least(2), default=20, help="in which each takes its turn"
    )
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    import onnxruntime

    watts, note = watts_per_thread()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for model in SHAPES
            for runtime in ("pytorch", "onnxruntime")
            for row in compare(model, runtime, options.rounds, Path(folder))
        ]
    record = {
        **circumstances(),
        "onnxruntime": onnxruntime.__version__,
        "watts": watts,
        "watts_note": note,
        "rounds": options.rounds,
        "rows": rows,
    }
    sys.stdout.write(as_markdown(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
