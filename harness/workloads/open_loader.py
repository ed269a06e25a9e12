"""Sources that worker processes read, of data in memory or in files."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import RunError
from harness.workloads import transforms as steps
from harness.workloads.images import ImageFiles, Images
from harness.workloads.loader import Loader, Shipping
from harness.workloads.normalisation import Normalisation
from harness.workloads.pictures import PicturesInFiles, PicturesInMemory, common_size, in_threads
from harness.workloads.place import Opened, Place
from harness.workloads.reader import Pool, Reader

STATISTICS_SAMPLES = 2000
"""Of files that are read as they are needed, so many at most decide the normalisation."""


def loaders_from_memory(images: Images, rest: Tensor, held_out: Tensor, place: Place) -> Opened:
    """The usual pipeline: torchvision's transforms in torch's DataLoader.

    Args:
        images: Images and labels.
        rest: Which training samples to train on.
        held_out: Which of them to validate on.
        place: Where to, and how.
    """
    choice, training = place.choice, place.training
    channels = images.train_images.shape[1]
    if channels not in (1, 3):
        raise RunError(
            f"images of {channels} channels are no pictures, which workload.input = 'loader' "
            "needs; set it to 'resident'"
        )
    normalise = Normalisation.of(images.train_images[rest])
    side = choice.image_size
    size = (side, side) if side else images.size
    tail = steps.to_floats(normalise)
    cutout = [steps.Cutout(training.cutout, torch.zeros(()))] if training.cutout else []
    reader = Reader(
        PicturesInMemory(images.train_images, images.test_images),
        torch.cat([images.train_labels, images.test_labels]),
        augmented=steps.chain([*steps.augmented(training, side, size), *tail, *cutout]),
        plain=steps.chain([*steps.plain(training, side, size), *tail]),
    )
    return _loaders(reader, rest, held_out, len(images.test_labels), size, normalise, place)


def loaders_from_files(files: ImageFiles, rest: Tensor, held_out: Tensor, place: Place) -> Opened:
    """Read files as they are needed; batches come as 8-bit numbers and become floats on the device.

    Args:
        files: Paths and labels.
        rest: Which training samples to train on.
        held_out: Which of them to validate on.
        place: Where to, and how.
    """
    choice, training = place.choice, place.training
    paths = [*files.train_files, *files.test_files]
    side = choice.image_size
    size = (side, side) if side else common_size(paths)
    pictures = PicturesInFiles(paths)
    tail = steps.to_bytes()
    plain = steps.chain([*steps.plain(training, side, size), *tail])
    drawn = torch.randperm(len(rest), generator=torch.Generator().manual_seed(0))
    seen = rest[drawn[:STATISTICS_SAMPLES]].tolist()
    normalise = Normalisation.of(
        torch.stack(list(in_threads(lambda number: plain(pictures[number]), seen)))
    )
    fill = (normalise.mean * 255).round().to(torch.uint8)
    cutout = [steps.Cutout(training.cutout, fill)] if training.cutout else []
    reader = Reader(
        pictures,
        torch.cat([files.train_labels, files.test_labels]),
        augmented=steps.chain([*steps.augmented(training, side, size), *tail, *cutout]),
        plain=plain,
    )
    return _loaders(reader, rest, held_out, len(files.test_files), size, normalise, place)


def _loaders(
    reader: Reader,
    rest: Tensor,
    held_out: Tensor,
    tested: int,
    size: tuple[int, int],
    normalise: Normalisation,
    place: Place,
) -> Opened:
    pool = Pool(reader, place.choice.workers, pinned=place.device.type == "cuda")
    ship = Shipping(place.device, place.layout, normalise.on(place.device))
    first_test = len(rest) + len(held_out)
    test = torch.arange(first_test, first_test + tested)
    train, validation, final = (
        Loader(pool, numbers, size, ship, place.part) for numbers in (rest, held_out, test)
    )
    return Opened(train, validation, final, train.example())
