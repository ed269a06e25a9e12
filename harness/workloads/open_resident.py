"""Sources that live on the device."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import functional

from harness.workloads import transforms as steps
from harness.workloads.images import ImageFiles, Images, as_float
from harness.workloads.normalisation import Normalisation
from harness.workloads.pictures import common_size, in_threads, open_picture
from harness.workloads.place import Opened, Place
from harness.workloads.resident import Resident


def resident_sources(images: Images, rest: Tensor, held_out: Tensor, place: Place) -> Opened:
    """Move all images to the device, normalised.

    Args:
        images: Images and labels.
        rest: Which training samples to train on.
        held_out: Which of them to validate on.
        place: Where to, and how.
    """
    recipe = place.training
    train_images = images.train_images[rest]
    normalise = Normalisation.of(train_images).on(place.device)

    def source(part: Tensor, labels: Tensor, padding: int = 0) -> Resident:
        # Padded before it is normalised, so that the border is black.
        padded = F.pad(as_float(part.to(place.device)), (padding,) * 4)
        ready = normalise(padded).contiguous(memory_format=place.layout)
        return Resident(
            ready, labels.to(place.device), padding, layout=place.layout, part=place.part
        )

    train = source(train_images, images.train_labels[rest], recipe.crop_padding)
    train = replace(train, flip=recipe.flip, cutout=recipe.cutout)
    return Opened(
        train=train,
        validation=source(images.train_images[held_out], images.train_labels[held_out]),
        test=source(images.test_images, images.test_labels),
        example=train.images[:1].contiguous(memory_format=place.layout),
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
