"""VGG-style networks with BatchNorm (Simonyan & Zisserman, 2015)."""

from __future__ import annotations

from torch import nn


def vgg_small(channels: int, classes: int) -> nn.Module:
    """Six convolutions (32, 32, 64, 64, 128, 128 channels) for images of 8 x 8 pixels and up."""
    return _vgg(channels, classes, (32, 32, None, 64, 64, None, 128, 128))


def _vgg(channels: int, classes: int, plan: tuple[int | None, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    for width in plan:
        if width is None:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [
            nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)
