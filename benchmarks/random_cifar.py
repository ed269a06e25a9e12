"""Random images of CIFAR's size: what speed and energy need of data is their shape alone."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from harness.settings.catalogue import resolve_model
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.encoding import Encoding
from harness.workloads.resident import Resident
from harness.workloads.source import LoadingContext
from harness.workloads.task import Classification
from harness.workloads.workload import Workload

CLASSES = 10
SIDE = 32


def resident_workload(
    model: str, images: int, training: Training, device: torch.device
) -> Workload:
    """`model` on random images that are on `device`, augmented by the settings in `training`."""
    choice = WorkloadChoice(data="cifar10", model=model, input="resident")
    layout = LoadingContext(choice, training, device).layout
    side = SIDE + 2 * training.crop_padding
    draw = torch.Generator(device).manual_seed(0)
    padded = torch.randn(images, 3, side, side, generator=draw, device=device)
    labels = torch.randint(CLASSES, (images,), generator=draw, device=device)
    samples = Resident(
        padded.contiguous(memory_format=layout),
        labels,
        training.crop_padding,
        training.flip,
        training.cutout,
        layout,
    )
    return Workload(
        device=device,
        train=samples,
        validation=samples,
        test=samples,
        outputs=CLASSES,
        example=samples.sample(1, 0).inputs,
        choice=choice,
        layout=layout,
        task=Classification(),
        encoding=Encoding(kind="tensor", shape=(3, SIDE, SIDE)),
        _builder=resolve_model(model),
    )


def write_cifar10(root: Path, images_a_file: int) -> None:
    """CIFAR-10's folder in its Python format, with random pixels."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        pixels = draw.integers(256, size=(images_a_file, 3 * SIDE * SIDE), dtype=np.uint8)
        labels = [number % CLASSES for number in range(images_a_file)]
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}))
    names = {"label_names": [str(number) for number in range(CLASSES)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
