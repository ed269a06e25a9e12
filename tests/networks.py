"""Small networks with the structures that pruning must cope with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.batch_norm import scaled_batch_norms
from harness.workloads.vgg import vgg_small

CHANNELS = 3
CLASSES = 5


class Residual(nn.Module):
    """A stem, two residual blocks with coupled channels, a strided one with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_bn(CHANNELS, 16)
        self.first = nn.Sequential(_conv_bn(16, 16), nn.ReLU(), _conv_bn(16, 16))
        self.second = nn.Sequential(_conv_bn(16, 24, stride=2), nn.ReLU(), _conv_bn(24, 24))
        self.projection = _conv_bn(16, 24, stride=2, size=1)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.stem(images))
        hidden = torch.relu(hidden + self.first(hidden))
        hidden = torch.relu(self.projection(hidden) + self.second(hidden))
        return self.head(hidden.mean(dim=(2, 3)))


class Flattening(nn.Module):
    """A convolution flattened into a linear layer: each channel is many of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(_conv_bn(CHANNELS, 16), nn.ReLU(), _conv_bn(16, 12))
        self.head = nn.Linear(12 * 8 * 8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).flatten(1))


def _conv_bn(channels: int, width: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


FAMILIES = {
    "vgg": lambda: vgg_small(CHANNELS, CLASSES),
    "residual": Residual,
    "flattening": Flattening,
}


def make(family: str, seed: int = 0) -> nn.Module:
    """A network with random weights, scales and statistics, so that no two channels are alike."""
    torch.manual_seed(seed)
    network = FAMILIES[family]()
    for layer in scaled_batch_norms(network).values():
        nn.init.uniform_(layer.weight, 0.1, 1.0)
        nn.init.normal_(layer.bias)
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2.0)
    return network


def images(samples: int = 4, seed: int = 1) -> Tensor:
    """Random pictures of 8 x 8 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, CHANNELS, 8, 8, generator=generator)
