"""Augmentation in batches, on the device: crop, flip and cutout, drawn for each sample.

Every function draws from a generator of its own device and never waits for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def windows(padded: Tensor, padding: int) -> Tensor:
    """Every crop of the old size out of padded images, as a view.

    Args:
        padded: Shape (samples, channels, height + 2 * padding, width + 2 * padding).
        padding: In pixels.

    Returns:
        Shape (samples, channels, top, left, height, width), no memory of its own.
    """
    height, width = (side - 2 * padding for side in padded.shape[-2:])
    return padded.unfold(2, height, 1).unfold(3, width, 1)


def random_crop(crops: Tensor, index: Tensor, generator: torch.Generator) -> Tensor:
    """One random crop each of the samples `index`.

    Picking the samples and cropping them is one pass over memory, five times as fast on a CPU as
    an index for every pixel.

    Args:
        crops: As `windows` gives them.
        index: Shape (batch,).
        generator: Draws an offset a sample.
    """
    places = (2, len(index))
    top, left = torch.randint(crops.shape[2], places, generator=generator, device=crops.device)
    return crops[index, :, top, left]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each sample left to right with probability one half."""
    device = images.device
    coin = torch.randint(2, (len(images), 1, 1, 1), generator=generator, device=device)
    columns = torch.arange(images.shape[-1], device=device)
    return images.gather(3, torch.where(coin == 1, columns.flip(0), columns).expand_as(images))


def cutout(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Blank a random square with the mean, which is 0 (DeVries & Taylor, 2017).

    Its centre is any pixel, so that part of it may lie outside.

    Args:
        images: Normalised.
        size: Side of the square, in pixels.
        generator: Draws a centre a sample.
    """
    inside = [_spans(images, dim, size, generator) for dim in (2, 3)]
    return images.masked_fill(inside[0][:, None, :, None] & inside[1][:, None, None, :], 0.0)


def _spans(images: Tensor, dim: int, size: int, generator: torch.Generator) -> Tensor:
    """Which places along `dim` the square covers, shape (samples, places)."""
    device = images.device
    places = torch.arange(images.shape[dim], device=device)
    shape = (len(images), 1)
    centre = torch.randint(len(places), shape, generator=generator, device=device)
    first = centre - size // 2
    return (places >= first) & (places < first + size)
