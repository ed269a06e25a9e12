"""What the harness' loop costs: its epoch against that of a bare loop written by hand.

    python benchmarks/loop_overhead.py [--rounds N] [--json FILE]

Both train the same network from the same weights on the same batches and end with the same
weights; they take turns, in random order. On a GPU if torch sees one, the clock stopped once the
device is done; else on all cores, about 4 minutes if nothing else runs.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.paired import (
    at_least,
    change,
    circumstances,
    heading,
    in_turns,
    ratio,
    repeated,
    timed,
)
from benchmarks.random_cifar import resident_workload
from harness.errors import RunError
from harness.method.phases import Train
from harness.settings.settings import Training, WorkloadChoice
from harness.study.choose import choose_study
from harness.training.device import open_device
from harness.training.loop import train_epoch
from harness.training.state import TrainingState, stream
from harness.workloads.resident import Resident, random_crop, random_flip, windows
from harness.workloads.workload import Workload, open_workload

SEED = 0


def bare_epoch(
    network: nn.Module, optimizer: torch.optim.SGD, data: Resident, recipe: Training, seed: int
) -> float:
    """One epoch as a careful person writes it for one recipe; the mean loss."""
    device = data.padded.device
    draw = torch.Generator(device).manual_seed(seed)
    crops = windows(data.padded, recipe.crop_padding)
    batches = torch.randperm(len(data), generator=draw, device=device).split(recipe.batch_size)
    total = torch.zeros((), device=device)
    network.train()
    for step, index in enumerate(batches):
        images = random_crop(crops, index, draw)
        if recipe.flip:
            images = random_flip(images, draw)
        images = images.contiguous(memory_format=data.layout)
        progress = step / len(batches) / recipe.epochs
        rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            loss = F.cross_entropy(network(images), data.labels[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return float(total / len(batches))


def cases(device: torch.device, images: int) -> dict[str, tuple[Workload, Training]]:
    """Few batches of a few samples for a CPU, a whole epoch of large ones for a GPU."""
    on_gpu = device.type == "cuda"
    digits = Training(epochs=16, batch_size=64, schedule="cosine", crop_padding=1)
    cifar = Training(
        epochs=30,
        batch_size=512 if on_gpu else 32,
        schedule="cosine",
        crop_padding=4,
        flip=True,
        precision="bf16" if on_gpu else "fp32",
    )
    choice = WorkloadChoice(data="digits", model="vgg_small")
    found = {
        "digits, vgg_small": (open_workload(choice, digits, device), digits),
        "CIFAR size, ResNet-18": (resident_workload("resnet18", images, cifar, device), cifar),
    }
    bed, _ = choose_study(("laptop-vision",), (), (), (), ())
    fashion = bed.workload.model_copy(update={"train_samples": None if on_gpu else 2560})
    try:
        workload = open_workload(fashion, bed.training, device)
        found["Fashion-MNIST, vgg_tiny"] = (workload, bed.training)
    except RunError as error:
        sys.stderr.write(f"without Fashion-MNIST: {error}\n")
    return found


def compare(workload: Workload, recipe: Training, rounds: int) -> dict[str, Any]:
    """Epochs of both loops in turns, each from the same start."""
    data, device = workload.train, workload.device
    state = TrainingState(workload, recipe, SEED, Path)
    start = copy.deepcopy(state.network.state_dict())
    network = copy.deepcopy(state.network)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=device.type == "cuda",
    )
    phase = Train("train", epochs=recipe.epochs)
    epoch_seed = stream(SEED, "epoch", 0)

    def ours() -> dict[str, float]:
        state.network.load_state_dict(start)
        state.optimizer.state.clear()
        state.schedule_epoch, state.epochs_trained = 0.0, 0
        return timed(lambda: float(train_epoch(state, phase, recipe, SEED)), device)

    def bare() -> dict[str, float]:
        network.load_state_dict(start)
        optimizer.state.clear()
        return timed(lambda: bare_epoch(network, optimizer, data, recipe, epoch_seed), device)

    ways = {"ours": ours, "bare": bare}
    in_turns(ways, 1)
    apart = max(
        float((a - b).detach().abs().max())
        for a, b in zip(state.network.parameters(), network.parameters(), strict=True)
    )
    found = in_turns(ways, rounds, seed=1)
    return {
        "steps": len(data.epoch(recipe.batch_size, 0)),
        "batch_size": recipe.batch_size,
        "precision": recipe.precision,
        "weights_apart": apart,
        "percent": {
            kind: ratio(*([leg[kind] for leg in found[way]] for way in ways)).percent()
            for kind in ("s", "cpu_s")
        },
        "epochs": found,
    }


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        *heading(record, "What the harness' loop costs"),
        repeated(record, "What the loop takes more than the bare one (95 %)"),
        "",
        "| | steps of | bare epoch, s | time | CPU time | weights apart afterwards |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, case in record["cases"].items():
        seconds = statistics.median(epoch["s"] for epoch in case["epochs"]["bare"])
        lines.append(
            f"| {name}, {case['precision']} | {case['steps']} x {case['batch_size']} | "
            f"{seconds:.3g} | {change(case['percent']['s'])} | "
            f"{change(case['percent']['cpu_s'])} | {case['weights_apart']:.1g} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=at_least(2), default=40, help="of an epoch each")
    parser.add_argument("--images", type=int, help="of CIFAR's size, an epoch")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    device = open_device(deterministic=False)
    images = options.images or (50_000 if device.type == "cuda" else 192)
    record = {
        **circumstances(),
        "rounds": options.rounds,
        "cases": {
            name: compare(*case, options.rounds) for name, case in cases(device, images).items()
        },
    }
    sys.stdout.write(as_markdown(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
