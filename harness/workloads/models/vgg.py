"""VGG-style networks with BatchNorm (Simonyan & Zisserman, 2015)."""

from __future__ import annotations

from torch import nn

_TINY = (16, None, 32, None, 64, 64)
_SMALL = (32, 32, None, 64, 64, None, 128, 128)
_16 = (64, 64, None, 128, 128, None, *[256] * 3, None, *[512] * 3, None, *[512] * 3)


def vgg_tiny(channels: int, classes: int) -> nn.Module:
    """Four convolutions (16, 32, 64, 64 channels) for images of about 28 x 28 pixels.

    Small enough to be trained on all of Fashion-MNIST by one CPU core in minutes.
    """
    return vgg(channels, classes, _TINY)


def vgg_small(channels: int, classes: int) -> nn.Module:
    """Six convolutions (32, 32, 64, 64, 128, 128 channels) for images of 8 x 8 pixels and up."""
    return vgg(channels, classes, _SMALL)


def vgg16(channels: int, classes: int) -> nn.Module:
    """VGG-16 for CIFAR: 13 convolutions and one linear layer; 14.72 M parameters for 10 classes.

    As in Network Slimming (Liu et al., 2017) and Early-Bird Tickets (You et al., 2020).
    """
    return vgg(channels, classes, _16)


def vgg(channels: int, classes: int, plan: tuple[int | None, ...]) -> nn.Module:
    """Convolutions of 3 x 3 with BatchNorm, then the mean over pixels and one linear layer.

    Args:
        channels: Of the images.
        classes: How many.
        plan: The convolutions' widths; None halves the image. An odd side is rounded up, so that
            any image is large enough.
    """
    layers: list[nn.Module] = []
    for width in plan:
        if width is None:
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            continue
        layers += [
            nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head)
