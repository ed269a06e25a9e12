"""Whether captured training steps end with the weights of plain ones, and what they save.

    python benchmarks/graphs_on_gpu.py --out DIR

ResNet-18 on random images of CIFAR's size, deterministic, a plain and a captured training from the
same start: two epochs dense, two with the L1 penalty, two with half of the weights masked, two with
AdamW (clipped, in parts, averaged), each in fp32 and bf16. Exit code 1 if weights differ by more
than rounding, 5 without a GPU. It has not run on a GPU yet.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.random_cifar import resident_workload
from harness.errors import ExitCode
from harness.method.phases import Train
from harness.pruning.weights import prune_weights
from harness.settings.settings import Training
from harness.settings.types import Precision
from harness.training.device import open_device
from harness.training.graphs import capture_ahead
from harness.training.loop import train_epoch
from harness.training.state import TrainingState

IMAGES, BATCH_SIZE, EPOCHS = 5_000, 512, 2
CASES: dict[str, dict[str, Any]] = {
    "dense": {},
    "L1 on gamma": {"l1_gamma": 1e-4},
    "masked": {},
    "AdamW": {},
}
ADAMW: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay_of": "weights",
    "clip_norm": 1.0,
    "accumulate": 2,
    "ema": 0.9,
}
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}
"""Of the norm of the difference, over the norm of the weights."""


def train(case: str, precision: Precision, device: torch.device, *, graphs: bool) -> dict[str, Any]:
    """Weights after some epochs, and how long the last one took."""
    recipe = Training(
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        crop_padding=4,
        flip=True,
        precision=precision,
        graphs=graphs,
        deterministic=True,
        **(ADAMW if case == "AdamW" else {}),
    )
    workload = resident_workload("resnet18", IMAGES, recipe, device)
    state = TrainingState(workload, recipe, 0, Path)
    if case == "masked":
        weights = {n: p.detach().abs() for n, p in state.network.named_parameters() if p.ndim == 4}
        state.masks = prune_weights(weights, {}, 0.5)
        state.apply_masks()
    phase = Train("train", epochs=EPOCHS, **CASES[case])
    if graphs:
        capture_ahead(state, phase, recipe)
    took_s = 0.0
    for _ in range(EPOCHS):
        torch.cuda.synchronize(device)
        begun_s = time.perf_counter()
        float(train_epoch(state, phase, recipe, seed=0))
        took_s = time.perf_counter() - begun_s
    kept = {n: v for n, v in state.network.state_dict().items() if v.is_floating_point()}
    return {"weights": kept, "s": took_s}


def apart(ours: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """The norm of the difference over the norm of the others, over all tensors together."""
    both = [(ours[name].double(), other.double()) for name, other in others.items()]
    difference = sum(float((a - b).square().sum()) for a, b in both)
    return (difference / sum(float(b.square().sum()) for _, b in both)) ** 0.5


def main() -> None:
    """Compare, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    device = open_device(deterministic=True)
    if device.type != "cuda":
        sys.stderr.write("torch sees no GPU, so there is nothing to capture\n")
        sys.exit(ExitCode.NOT_MEASURABLE)
    rows = []
    for precision in PRECISIONS:
        for case in CASES:
            plain = train(case, precision, device, graphs=False)
            again = train(case, precision, device, graphs=False)
            ours = train(case, precision, device, graphs=True)
            rows.append(
                {
                    "case": case,
                    "precision": precision,
                    "apart": apart(ours["weights"], plain["weights"]),
                    "plain_apart": apart(again["weights"], plain["weights"]),
                    "plain_s": again["s"],
                    "graphs_s": ours["s"],
                }
            )
            sys.stdout.write(json.dumps(rows[-1]) + "\n")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "graphs_on_gpu.json").write_text(json.dumps(rows, indent=1) + "\n")
    equal = all(row["apart"] <= TOLERANCE[str(row["precision"])] for row in rows)
    sys.stdout.write("equal within rounding\n" if equal else "NOT equal: do not use them\n")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
