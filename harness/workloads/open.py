"""From a data set as loaded to its three sources, resident on the device or read by workers."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import functional

from harness.errors import RunError
from harness.workloads import transforms as steps
from harness.workloads.image_files import (
    PicturesInFiles,
    PicturesInMemory,
    common_size,
    in_threads,
    open_picture,
    size_of,
)
from harness.workloads.images import ImageFiles, Images, as_float, training_parts
from harness.workloads.loaded import Loaded
from harness.workloads.loader import Loader, Pool, Reader, Shipping
from harness.workloads.resident import Resident
from harness.workloads.samples import Samples, sample_sources
from harness.workloads.source import LoadingContext, Opened, evaluation_batch_size
from harness.workloads.tokens import Tokens, token_sources
from harness.workloads.transforms import Normalisation

RESIDENT_BYTES = 4 * 2**30
"""Up to this size, as float32, a data set lives on the device unless the study says otherwise."""


def open_sources(loaded: Loaded, context: LoadingContext) -> Opened:
    """Split off the validation set, normalise images by the training set, and lay it all out.

    Raises:
        RunError: A sample cannot be read, or the settings do not fit the data.
    """
    choice = context.choice
    if isinstance(loaded, Tokens):
        return token_sources(loaded, context)
    if isinstance(loaded, Samples):
        return sample_sources(loaded, context)
    parts = training_parts(loaded.train_labels, choice)
    if _is_resident(loaded, context):
        if isinstance(loaded, ImageFiles):
            loaded = decoded(loaded, choice.image_size)
        return resident_sources(brought_to(loaded, choice.image_size), *parts, context)
    if isinstance(loaded, ImageFiles):
        return loaders_from_files(loaded, *parts, context)
    return loaders_from_memory(loaded, *parts, context)


def _is_resident(loaded: Images | ImageFiles, context: LoadingContext) -> bool:
    choice, training = context.choice, context.training
    if choice.input == "resident" and training.resized_crop:
        raise RunError(
            "training.resized_crop cuts parts out of whole pictures, which are not resident; set "
            "workload.input to 'loader' or 'auto'"
        )
    if choice.input != "auto":
        return choice.input == "resident"
    if isinstance(loaded, ImageFiles):
        samples = len(loaded.train_files) + len(loaded.test_files)
        channels = 3
        size = size_of(loaded.train_files[0])
    else:
        samples = len(loaded.train_images) + len(loaded.test_images)
        channels = loaded.train_images.shape[1]
        size = loaded.size
    height, width = (choice.image_size or side for side in size)
    return not training.resized_crop and samples * channels * height * width * 4 <= RESIDENT_BYTES


STATISTICS_SAMPLES = 2000
"""Maximum number of files that decide the normalisation, if files are read as needed."""


def loaders_from_memory(
    images: Images, rest: Tensor, held_out: Tensor, context: LoadingContext
) -> Opened:
    """The usual pipeline: torchvision's transforms in torch's DataLoader.

    Args:
        images: Images and labels.
        rest: Which training samples to train on.
        held_out: Which of them to validate on.
        context: Where to, and how.
    """
    choice, training = context.choice, context.training
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
    return _loaders(reader, rest, held_out, len(images.test_labels), size, normalise, context)


def loaders_from_files(
    files: ImageFiles, rest: Tensor, held_out: Tensor, context: LoadingContext
) -> Opened:
    """Read files as they are needed; batches come as 8-bit numbers and become floats on the device.

    Args:
        files: Paths and labels.
        rest: Which training samples to train on.
        held_out: Which of them to validate on.
        context: Where to, and how.
    """
    choice, training = context.choice, context.training
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
    return _loaders(reader, rest, held_out, len(files.test_files), size, normalise, context)


def _loaders(
    reader: Reader,
    rest: Tensor,
    held_out: Tensor,
    tested: int,
    size: tuple[int, int],
    normalise: Normalisation,
    context: LoadingContext,
) -> Opened:
    pool = Pool(reader, context.choice.workers, pinned=context.device.type == "cuda")
    ship = Shipping(context.device, context.layout, normalise.on(context.device))
    evaluation_size = evaluation_batch_size(torch.empty(1, 1, *size))
    first_test = len(rest) + len(held_out)
    test = torch.arange(first_test, first_test + tested)
    train, validation, final = (
        Loader(pool, numbers, evaluation_size, ship, context.part)
        for numbers in (rest, held_out, test)
    )
    return Opened(train, validation, final, train.example(), normalise)


def resident_sources(
    images: Images, rest: Tensor, held_out: Tensor, context: LoadingContext
) -> Opened:
    """Move all images to the device, normalised.

    Args:
        images: Images and labels.
        rest: Which training samples to train on.
        held_out: Which of them to validate on.
        context: Where to, and how.
    """
    recipe = context.training
    train_images = images.train_images[rest]
    normalise = Normalisation.of(train_images).on(context.device)

    def source(part: Tensor, labels: Tensor, padding: int = 0) -> Resident:
        # Padded before it is normalised, so that the border is black.
        padded = F.pad(as_float(part.to(context.device)), (padding,) * 4)
        ready = normalise(padded).contiguous(memory_format=context.layout)
        return Resident(
            ready, labels.to(context.device), padding, layout=context.layout, part=context.part
        )

    train = source(train_images, images.train_labels[rest], recipe.crop_padding)
    train = replace(train, flip=recipe.flip, cutout=recipe.cutout)
    return Opened(
        train=train,
        validation=source(images.train_images[held_out], images.train_labels[held_out]),
        test=source(images.test_images, images.test_labels),
        example=train.images[:1].contiguous(memory_format=context.layout),
        normalise=normalise,
    )


def decoded(files: ImageFiles, image_size: int | None) -> Images:
    """All pictures in memory, at one size."""
    if image_size is None:
        common_size([*files.train_files, *files.test_files])
    read = steps.chain([*steps.framing(image_size), *steps.to_bytes()])

    def pixels(paths: list[str]) -> Tensor:
        return torch.stack(list(in_threads(lambda path: read(open_picture(path)), paths)))

    return Images(
        pixels(files.train_files),
        files.train_labels,
        pixels(files.test_files),
        files.test_labels,
        files.classes,
    )


def brought_to(images: Images, image_size: int | None) -> Images:
    """Images whose shorter side is resized to `image_size`, the centre cut out of the other."""
    if image_size is None or images.size == (image_size, image_size):
        return images
    train, test = (
        functional.center_crop(functional.resize(part, [image_size], antialias=True), [image_size])
        for part in (images.train_images, images.test_images)
    )
    return replace(images, train_images=train, test_images=test)
