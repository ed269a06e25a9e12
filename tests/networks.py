"""Small networks with the structures that pruning must cope with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.googlenet import BasicConv2d, Inception
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.resnet import Bottleneck
from torchvision.ops import StochasticDepth

from harness import ChannelMask
from harness.pruning.batch import Batch
from harness.pruning.channels import global_mask
from harness.pruning.groups import scales
from harness.pruning.unit_scores import scale
from harness.workloads.models.mobilenet import mobilenet
from harness.workloads.models.preresnet import PreResNet
from harness.workloads.models.resnet import ResNet, resnet20
from harness.workloads.models.vgg import vgg, vgg_small

CHANNELS = 3
CLASSES = 5


class Residual(nn.Module):
    """A stem, two residual blocks with coupled channels, a strided one with a projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(CHANNELS, 16)
        self.first = nn.Sequential(conv_bn(16, 16), nn.ReLU(), conv_bn(16, 16))
        self.second = nn.Sequential(conv_bn(16, 24, stride=2), nn.ReLU(), conv_bn(24, 24))
        self.projection = conv_bn(16, 24, stride=2, size=1)
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
        self.features = nn.Sequential(conv_bn(CHANNELS, 16), nn.ReLU(), conv_bn(16, 12))
        self.head = nn.Linear(12 * 8 * 8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).flatten(1))


class PaddedShortcut(nn.Module):
    """A residual block whose shortcut pads with zero channels (option A of He et al., 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(CHANNELS, 8)
        self.wider = nn.Sequential(conv_bn(8, 24, stride=2), nn.ReLU(), conv_bn(24, 16))
        self.last = nn.Sequential(conv_bn(16, 24), nn.ReLU(), conv_bn(24, 16))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.stem(images))
        padded = nn.functional.pad(hidden[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        hidden = torch.relu(self.wider(hidden) + padded)
        hidden = torch.relu(hidden + self.last(hidden))
        return self.head(hidden.mean(dim=(2, 3)))


class Auxiliary(nn.Module):
    """A branch for training alone reads the middle; dropout and dropped paths come before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(conv_bn(CHANNELS, 24), nn.ReLU(), nn.Dropout2d(0.3))
        self.middle = nn.Sequential(conv_bn(24, 8), nn.ReLU(), nn.Dropout(0.2))
        self.last = nn.Sequential(conv_bn(8, 24), nn.ReLU(), StochasticDepth(0.3, "row"))
        self.auxiliary, self.head = nn.Linear(8, CLASSES), nn.Linear(24, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        middle = self.middle(self.first(images))
        scores = self.head(self.last(middle).mean(dim=(2, 3)))
        return scores + self.auxiliary(middle.mean(dim=(2, 3))) if self.training else scores


def conv_bn(
    channels: int, width: int, stride: int = 1, size: int = 3, *, bias: bool = False
) -> nn.Sequential:
    """A convolution and its BatchNorm."""
    convolution = nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=bias)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


def head(width: int) -> list[nn.Module]:
    """The mean over pixels and a linear layer."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]


def _vgg16() -> nn.Module:
    plan = (8, 8, None, 8, 8, None, *[12] * 3, None, *[16] * 3, None, *[16] * 3)
    return vgg(CHANNELS, CLASSES, plan)


def _mobilenet() -> nn.Module:
    stages = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 2, 2))
    return mobilenet(CHANNELS, CLASSES, stages, width=0.5)


def _bottlenecks(groups: int = 1) -> nn.Module:
    return models.ResNet(
        Bottleneck, [1, 2, 1, 1], num_classes=CLASSES, groups=groups, width_per_group=16 // groups
    )


def _densenet() -> nn.Module:
    return models.DenseNet(
        growth_rate=8, block_config=(2, 3), num_init_features=16, bn_size=2, num_classes=CLASSES
    )


def _inception() -> nn.Module:
    return nn.Sequential(
        BasicConv2d(CHANNELS, 16, kernel_size=3, padding=1),
        Inception(16, 8, 8, 12, 4, 8, 8),
        nn.MaxPool2d(2),
        Inception(36, 12, 8, 12, 4, 8, 8),
        *head(40),
    )


def _squeeze_excite() -> nn.Module:
    blocks = [
        InvertedResidualConfig(16, 3, 16, 16, True, "RE", 1, 1, 1.0),
        InvertedResidualConfig(16, 3, 48, 24, True, "HS", 2, 1, 1.0),
        InvertedResidualConfig(24, 5, 72, 24, True, "HS", 1, 1, 1.0),
    ]
    return models.MobileNetV3(blocks, last_channel=64, num_classes=CLASSES, dropout=0.0)


def _with_biases() -> nn.Module:
    layers = conv_bn(CHANNELS, 16, bias=True), nn.PReLU(), conv_bn(16, 12, bias=True), nn.SiLU()
    return nn.Sequential(*layers, *head(12))


FAMILIES = {
    "vgg": lambda: vgg_small(CHANNELS, CLASSES),
    "residual": Residual,
    "flattening": Flattening,
    "with_biases": _with_biases,
    "padded_shortcut": PaddedShortcut,
    "vgg16": _vgg16,
    "resnet18": lambda: ResNet(CHANNELS, CLASSES, widths=(8, 12, 16, 20), blocks=2),
    "resnet20": lambda: resnet20(CHANNELS, CLASSES),
    "preresnet": lambda: PreResNet(CHANNELS, CLASSES, widths=(4, 6, 8), blocks=2),
    "mobilenet": _mobilenet,
    "bottlenecks": _bottlenecks,
    "resnext": lambda: _bottlenecks(groups=4),
    "densenet": _densenet,
    "inception": _inception,
    "squeeze_excite": _squeeze_excite,
}


def make(family: str, seed: int = 0) -> nn.Module:
    """A network with random weights, scales and statistics, so that no two channels are alike."""
    torch.manual_seed(seed)
    network = FAMILIES[family]()
    for layer in scales(network).values():
        nn.init.uniform_(layer.weight, 0.1, 1.0)
        nn.init.normal_(layer.bias)
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2.0)
    return network


def images(samples: int = 4, seed: int = 1) -> Tensor:
    """Random pictures of 8 x 8 pixels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, CHANNELS, 8, 8, generator=generator)


def mask_of(network: nn.Module, prune_ratio: float = 0.5) -> ChannelMask:
    """The mask by BatchNorm scales that keeps two channels or more in every group."""
    return global_mask(
        scale(network, Batch(images(), torch.zeros(4, dtype=torch.int64))),
        prune_ratio,
        min_channels=2,
    )
