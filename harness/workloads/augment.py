"""Augmentation in batches, on the device: a random crop and a random flip a sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def random_crop(images: Tensor, padding: int, fill: float, generator: torch.Generator) -> Tensor:
    """Pad every side by `padding` pixels of value `fill`, then cut the old size out anywhere.

    Args:
        images: Shape (samples, channels, height, width).
        padding: In pixels.
        fill: What black is after normalisation.
        generator: Draws an offset a sample.
    """
    samples, _, height, width = images.shape
    device = images.device
    padded = F.pad(images, (padding,) * 4, value=fill)
    shifts = torch.randint(0, 2 * padding + 1, (2, samples), generator=generator, device=device)
    rows = shifts[0][:, None, None, None] + torch.arange(height, device=device)[:, None]
    columns = shifts[1][:, None, None, None] + torch.arange(width, device=device)
    sample = torch.arange(samples, device=device)[:, None, None, None]
    channel = torch.arange(images.shape[1], device=device)[:, None, None]
    return padded[sample, channel, rows, columns]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each sample left to right with probability one half."""
    coin = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator, device=images.device)
    return torch.where(coin.bool(), images.flip(-1), images)
