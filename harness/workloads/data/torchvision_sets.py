"""MNIST, Fashion-MNIST and CIFAR, in the folder layout and from the addresses of torchvision.

Files are read here and not by torchvision, which unpickles CIFAR's without restriction, takes
damaged ones for missing, and does not say which file it means. MNIST's IDX format is a magic
number, the sizes, then bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from harness.errors import RunError
from harness.settings.settings import WorkloadChoice
from harness.workloads.data import plain_pickle
from harness.workloads.files import EXPECTED, ExpectedFiles, missing, root_of
from harness.workloads.images import Images

_FETCHERS: dict[str, Any] = {
    "mnist": datasets.MNIST,
    "fashion_mnist": datasets.FashionMNIST,
    "cifar10": datasets.CIFAR10,
    "cifar100": datasets.CIFAR100,
}
_CIFAR_SHAPE = (3, 32, 32)
_PUBLISHED_SAMPLES = 10_000
"""From here on a CIFAR file must be the published one, by its checksum."""


def mnist(choice: WorkloadChoice) -> Images:
    """Handwritten digits: 60,000 + 10,000 grey images of 28 x 28 pixels (LeCun et al., 1998)."""
    return _mnist_like(choice)


def fashion_mnist(choice: WorkloadChoice) -> Images:
    """Clothes, in the format of MNIST (Xiao et al., 2017)."""
    return _mnist_like(choice)


def cifar10(choice: WorkloadChoice) -> Images:
    """50,000 + 10,000 images of 32 x 32 pixels in 10 classes (Krizhevsky, 2009)."""
    return _cifar(choice, classes=10, key="labels")


def cifar100(choice: WorkloadChoice) -> Images:
    """50,000 + 10,000 images of 32 x 32 pixels in 100 fine classes (Krizhevsky, 2009)."""
    return _cifar(choice, classes=100, key="fine_labels")


def _mnist_like(choice: WorkloadChoice) -> Images:
    expected, root = _fetched(choice)

    def part(names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        images_file, labels_file = (_found(expected, root, name) for name in names)
        images, labels = read_idx(images_file, 3), read_idx(labels_file, 1).long()
        _check_labels(labels, len(images), 10, labels_file)
        return images.unsqueeze(1), labels

    return _whole(part(expected.train), part(expected.test), 10, root / expected.folder)


def _cifar(choice: WorkloadChoice, classes: int, key: str) -> Images:
    expected, root = _fetched(choice)
    published = _FETCHERS[choice.data]
    checksums = dict(published.train_list + published.test_list)

    def part(names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        read = [
            _cifar_file(_found(expected, root, name), classes, key, checksums[name])
            for name in names
        ]
        return torch.cat([images for images, _ in read]), torch.cat([labels for _, labels in read])

    return _whole(part(expected.train), part(expected.test), classes, root / expected.folder)


def _cifar_file(path: Path, classes: int, key: str, checksum: str) -> tuple[Tensor, Tensor]:
    try:
        data = path.read_bytes()
        entry = plain_pickle.loads(data)
        pixels = np.asarray(entry["data"]).astype(np.uint8, casting="safe")
        images = torch.from_numpy(pixels.reshape(-1, *_CIFAR_SHAPE))
        labels = torch.tensor(entry[key], dtype=torch.int64)
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        raise RunError(
            f"{path}: not a CIFAR file ({type(error).__name__}: {error}); delete it and fetch it "
            "again"
        ) from None
    whole = len(images) >= _PUBLISHED_SAMPLES
    if whole and hashlib.md5(data, usedforsecurity=False).hexdigest() != checksum:
        raise RunError(
            f"{path}: as large as the published file but not equal to it; delete it and fetch it "
            "again"
        )
    _check_labels(labels, len(images), classes, path)
    return images, labels


def _fetched(choice: WorkloadChoice) -> tuple[ExpectedFiles, Path]:
    """What the files are called and where they lie, fetched first if asked for and not there."""
    expected, root = EXPECTED[choice.data], root_of(choice)
    if choice.download and expected.absent(root):
        try:
            _FETCHERS[choice.data](root, download=True)
        except (OSError, RuntimeError) as error:
            raise RunError(
                f"{choice.data} could not be fetched into {root.resolve()} ({error}); check the "
                "network, or put the files there by hand"
            ) from None
    problem = missing(choice)
    if problem is not None:
        raise RunError(problem)
    return expected, root


def _found(expected: ExpectedFiles, root: Path, name: str) -> Path:
    path = expected.find(root, name)
    if path is None:
        raise RunError(f"{root / expected.folder / name}: it was there and is gone")
    return path


def _check_labels(labels: Tensor, images: int, classes: int, path: Path) -> None:
    if labels.ndim != 1 or len(labels) != images:
        raise RunError(
            f"{path}: {labels.numel()} labels for {images} images; delete it and fetch it again"
        )
    if images and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise RunError(
            f"{path}: labels from {int(labels.min())} to {int(labels.max())}, where there are "
            f"{classes} classes; delete it and fetch it again"
        )


def _whole(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], classes: int, folder: Path
) -> Images:
    for (images, labels), name in ((train, "training"), (test, "test")):
        counts = torch.bincount(labels, minlength=classes)
        if int(counts.min()) == 0:
            raise RunError(
                f"{folder}: no {name} image of class {int(counts.argmin())} among "
                f"{len(images)}; delete the folder and fetch it again"
            )
    return Images(*train, *test, classes)


_BYTES = 0x08


def read_idx(path: Path, dimensions: int) -> Tensor:
    """The array of an IDX file of bytes, compressed or not, uint8.

    Raises:
        RunError: The file is damaged, or holds something else.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{path}: cannot be read ({error}); delete it and fetch it again") from None
    start = 4 + 4 * dimensions
    sizes = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if data[:4] != bytes((0, 0, _BYTES, dimensions)) or len(data) != start + np.prod(sizes):
        raise RunError(
            f"{path}: not a whole IDX file of bytes in {dimensions} dimensions; delete it and "
            "fetch it again"
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(sizes).copy())
