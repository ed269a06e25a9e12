"""How fast training gets its images: resident ones beside the usual DataLoader.

    python benchmarks/input_pipeline.py [--rounds N] [--json FILE]

Epochs without a network, on random images in CIFAR-10's own files: cropped and flipped in batches
by the resident source; sample by sample by the harness' loader; and by torchvision's CIFAR-10 with
its transforms in torch's DataLoader, as most code has it. All take turns, in random order; worker
processes stay alive between epochs. About 3 minutes on two cores. On a GPU, where batches end up
there, also the share of an epoch of training ResNet-18 in which it is busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gpu_busy import busy_share
from benchmarks.paired import (
    at_least,
    circumstances,
    factor,
    heading,
    in_turns,
    ratio,
    repeated,
    timed,
)
from benchmarks.random_cifar import write_cifar10
from harness.settings.settings import Training, WorkloadChoice
from harness.training.device import open_device
from harness.workloads.workload import open_workload

RECIPE = Training(batch_size=256, crop_padding=4, flip=True)
WORKERS = (1, 8)
RESIDENT = "harness, resident"


class UncheckedCIFAR10(datasets.CIFAR10):
    """torchvision's data set of files that are not the published ones."""

    train_list = [[name, None] for name, _ in datasets.CIFAR10.train_list]  # noqa: RUF012
    test_list = [[name, None] for name, _ in datasets.CIFAR10.test_list]  # noqa: RUF012
    meta = {**datasets.CIFAR10.meta, "md5": None}  # noqa: RUF012


def torchvision_loader(root: Path, workers: int, device: torch.device) -> DataLoader[Any]:
    """The pipeline of most published code."""
    steps = [
        transforms.RandomCrop(32, padding=RECIPE.crop_padding),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ]
    return DataLoader(
        UncheckedCIFAR10(root, transform=transforms.Compose(steps)),
        batch_size=RECIPE.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )


def rate(batches: Iterable[Any], device: torch.device) -> float:
    """Images a second of one epoch."""
    images = 0

    def consume() -> None:
        nonlocal images
        for batch, labels in batches:
            batch.to(device, non_blocking=True)
            labels.to(device, non_blocking=True)
            images += len(labels)

    seconds = timed(consume, device)["s"]
    return images / seconds


def pipelines(root: Path, device: torch.device) -> dict[str, Callable[[], float]]:
    """What to measure, by name: each a function that goes through one epoch."""

    def ours(**how: Any) -> Callable[[], float]:
        choice = WorkloadChoice(data="cifar10", model="resnet18", root=str(root), **how)
        source = open_workload(choice, RECIPE, device).train
        return lambda: rate(source.epoch(RECIPE.batch_size, seed=0), device)

    def theirs(workers: int) -> Callable[[], float]:
        loader = torchvision_loader(root, workers, device)
        return lambda: rate(loader, device)

    found = {RESIDENT: ours(input="resident")}
    for workers in WORKERS:
        named = f"{workers} worker{'s' * (workers > 1)}"
        found[f"harness, loader, {named}"] = ours(input="loader", workers=workers)
        found[f"torchvision, {named}"] = theirs(workers)
    return found


def as_markdown(record: dict[str, Any]) -> str:
    """The figures for people."""
    rates = record["images_per_s"]
    lines = [
        *heading(record, "How fast training gets its images"),
        repeated(record, f"Epochs of {record['images']} images, crop and flip"),
        "",
        "| pipeline | images a second | resident is so many times as fast (95 %) |",
        "|---|---:|---:|",
    ]
    for name, each in rates.items():
        faster = "" if name == RESIDENT else factor(ratio(rates[RESIDENT], each))
        lines.append(f"| {name} | {statistics.median(each):,.0f} | {faster} |")
    busy = record["busy"]
    if busy:
        lines += [
            "",
            (
                f"Training ResNet-18 from the resident source ({busy['precision']}, batches of "
                f"{busy['batch_size']}), the GPU is busy for {busy['share']:.1%} of an epoch: "
                f"{busy['busy_s']:.3f} s of {busy['epoch_s']:.3f} s (median of "
                f"{len(busy['epochs_s'])} epochs)."
            ),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--rounds", type=at_least(2), default=20, help="in which each takes its turn"
    )
    parser.add_argument("--images", type=int, default=10_000, help="an epoch, at most 49,995")
    parser.add_argument("--json", metavar="FILE", help="keep the raw figures there")
    options = parser.parse_args()
    # DataLoader advises against more workers than cores, which is what is to be measured.
    warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
    device = open_device(deterministic=False)
    with tempfile.TemporaryDirectory() as folder:
        write_cifar10(Path(folder), options.images // 5)
        ways = pipelines(Path(folder), device)
        in_turns(ways, 1)
        found = in_turns(ways, options.rounds, seed=1)
    record = {
        **circumstances(),
        "images": options.images,
        "rounds": options.rounds,
        "images_per_s": found,
        "busy": busy_share(device) if device.type == "cuda" else None,
    }
    sys.stdout.write(as_markdown(record))
    if options.json:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
