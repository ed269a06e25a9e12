"""What dense training costs on a GPU: seconds and joules an epoch, and the share of its peak.

    python benchmarks/training_on_gpu.py --out benchmarks/training-on-gpu

ResNet-18 and VGG-16 on 50,000 random images of CIFAR's size, through the harness' loop, in fp32,
tf32 and bf16. The six take turns, an epoch each, in random order; every epoch is a window of one
measurement with the GPU's own counter. About 5 minutes. Without a GPU it ends with exit code 5;
`--device cpu` with a few images only tries the program out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import change, circumstances, heading, in_turns, interval, ratio, repeated
from benchmarks.random_cifar import resident_workload
from harness.energy.measurement import Measurement
from harness.energy.sensors.base import MeterSetup
from harness.energy.sensors.estimate import watts_per_thread
from harness.energy.trace import read_trace
from harness.energy.window_energy import measured
from harness.errors import ExitCode
from harness.method.phases import Train
from harness.pruning.cost import size_of
from harness.settings.settings import EnergySettings, Training
from harness.settings.types import Precision
from harness.training.device import open_device
from harness.training.gpu_load import warm_up
from harness.training.loop import train_epoch
from harness.training.precision import refusal
from harness.training.state import TrainingState

MODELS = ("resnet18", "vgg16")
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16")
BASE: Precision = "fp32"
PEAK_BF16 = {
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
}
"""Operations a second in dense bf16 products, by the name that torch gives: NVIDIA's data sheets of
the A100, the H100 SXM and the H200 SXM, whose 1,979e12 for the latter two count on sparsity."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One network in one precision, ready to train.

    Attributes:
        flop: Floating-point operations of an epoch: three forward passes, as the backward pass
            costs two.
        train: Trains one epoch and waits for the device.
    """

    flop: float
    train: Callable[[], None]


def open_cases(recipe: Training, images: int, device: torch.device) -> dict[str, Case]:
    """Every network in every precision that the device offers, on the same images."""
    cases = {}
    samples = resident_workload(MODELS[0], images, recipe, device).train
    for model in MODELS:
        workload = dataclasses.replace(resident_workload(model, 1, recipe, device), train=samples)
        for precision in PRECISIONS:
            if refusal(precision, device) is None:
                own = recipe.model_copy(update={"precision": precision})
                state = TrainingState(workload, own, 0, Path)
                macs = size_of(state.network, workload.example, {}).macs
                flop = 3 * 2.0 * macs * images
                cases[f"{model} {precision}"] = Case(flop, _trainer(state, own))
    return cases


def _trainer(state: TrainingState, recipe: Training) -> Callable[[], None]:
    phase = Train("train", epochs=recipe.epochs)

    def train() -> None:
        float(train_epoch(state, phase, recipe, seed=0))
        if state.workload.device.type == "cuda":
            torch.cuda.synchronize()

    return train


def meters_of(device: torch.device) -> tuple[EnergySettings, MeterSetup]:
    """The GPU's own sensors; for a trial on a CPU, the estimate."""
    if device.type == "cuda":
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        return EnergySettings(meters=("nvml",)), MeterSetup(os.getpid(), (uuid,), 0.0, "")
    setup = MeterSetup(os.getpid(), (), *watts_per_thread())
    return EnergySettings(meters=("estimate",), idle_s=0), setup


def measure(
    cases: dict[str, Case], rounds: int, device: torch.device, trace: Path
) -> dict[str, list[dict[str, Any]]]:
    """Seconds and joules of every epoch, by case."""
    in_turns({name: case.train for name, case in cases.items()}, 1)
    settings, setup = meters_of(device)
    trace.unlink(missing_ok=True)
    with Measurement(trace, settings, setup) as running:
        warm_up(device, settings.warm_up_s)

        def window(case: Case) -> Callable[[], tuple[int, int]]:
            def epoch() -> tuple[int, int]:
                begin = running.mark()
                case.train()
                return begin, running.mark()

            return epoch

        running.open_window()
        found = in_turns({name: window(case) for name, case in cases.items()}, rounds, seed=1)
        running.close_window()
    recorded = read_trace(trace)

    def epoch(begin_ns: int, end_ns: int) -> dict[str, Any]:
        each = measured(recorded, begin_ns, end_ns)
        return {
            "s": each.duration_s,
            "j": each.joules.energy_j,
            "uncertainty_j": each.joules.uncertainty_j,
            "coverage": each.joules.coverage,
            "sources": sorted({part.source for part in each.devices}),
            "flags": list(each.flags),
        }

    return {name: [epoch(*window) for window in windows] for name, windows in found.items()}


def rows_of(
    cases: dict[str, Case], epochs: dict[str, list[dict[str, Any]]], gpu: str | None
) -> list[dict[str, Any]]:
    """A row for each case, beside the same network in fp32."""
    rows = []
    for name, case in cases.items():
        model, precision = name.split()
        own, base = epochs[name], epochs[f"{model} {BASE}"]
        pairs = {kind: [[each[kind] for each in side] for side in (own, base)] for kind in "sj"}
        flop_per_s = case.flop / statistics.fmean(pairs["s"][0])
        peak = PEAK_BF16.get(gpu or "") if precision == "bf16" else None
        rows.append(
            {
                "model": model,
                "precision": precision,
                "s": interval(pairs["s"][0]),
                "j": interval(pairs["j"][0]),
                "percent": {
                    kind: None if precision == BASE else ratio(*both).percent()
                    for kind, both in pairs.items()
                },
                "flop": case.flop,
                "flop_per_s": flop_per_s,
                "peak_share": flop_per_s / peak if peak else None,
            }
        )
    return rows


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    device = "GPU" if record["gpu"] else "CPU"
    work = f"Epochs of {record['images']:,} images in batches of {record['batch_size']}"
    epochs = [epoch for each in record["epochs"].values() for epoch in each]
    sources = ", ".join(sorted({source for epoch in epochs for source in epoch["sources"]}))
    doubt = statistics.median(epoch["uncertainty_j"] / epoch["j"] for epoch in epochs)
    lines = [
        *heading(record, "What dense training costs"),
        repeated(record, work),
        f"- Energy of the {device} alone, {sources}; uncertainty of an epoch's: {doubt:.1%} (95 %)",
        "",
        (
            "| network | | s an epoch (± 95 %) | J an epoch (± 95 %) | time against fp32 | "
            "energy against fp32 | TFLOP/s | of the bf16 peak |"
        ),
        "|---|---|" + "---:|" * 6,
    ]
    for row in record["rows"]:
        against = [change(row["percent"][kind]) if row["percent"][kind] else "" for kind in "sj"]
        seconds, joules = (f"{mean:.4g} ± {half:.2g}" for mean, half in (row["s"], row["j"]))
        share = f"{row['peak_share']:.1%}" if row["peak_share"] else ""
        lines.append(
            f"| {row['model']} | {row['precision']} | {seconds} | {joules} | {against[0]} | "
            f"{against[1]} | {row['flop_per_s'] / 1e12:.3g} | {share} |"
        )
    flags = sorted({flag for epoch in epochs for flag in epoch["flags"]})
    return "\n".join([*lines, *[f"\nCareful: {flag}" for flag in flags]]) + "\n"


def main() -> None:
    """Measure, print, and keep the raw records."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the raw records")
    parser.add_argument("--rounds", type=int, default=8, help="in which each trains an epoch")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    device = open_device(deterministic=False)
    if options.device == "cpu":
        device = torch.device("cpu")
    elif device.type != "cuda":
        sys.stderr.write("torch sees no GPU, so there is nothing to measure\n")
        sys.exit(ExitCode.NOT_MEASURABLE)
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = Training(batch_size=options.batch_size, crop_padding=4, flip=True)
    cases = open_cases(recipe, options.images, device)
    epochs = measure(cases, options.rounds, device, options.out / "trace.jsonl")
    if any(not epoch["sources"] for each in epochs.values() for epoch in each):
        sys.stderr.write("no sensor gave the energy; `python -m harness doctor` says why\n")
        sys.exit(ExitCode.NOT_MEASURABLE)
    record = {
        **circumstances(),
        "images": options.images,
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "epochs": epochs,
    }
    record["rows"] = rows_of(cases, epochs, record["gpu"])
    text = as_markdown(record)
    (options.out / "training_on_gpu.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "README.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
