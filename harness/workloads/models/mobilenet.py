"""MobileNetV2 for small images (Sandler et al., CVPR 2018)."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import MobileNetV2

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(channels: int, classes: int) -> nn.Module:
    """MobileNetV2 for 32 pixels; 2.24 M parameters for 10 classes.

    The paper's network, except that the stem and the first wide stage keep the size of the image
    (stride 1 in place of 2), so that 32 pixels end in 4 x 4 as 224 end in 7 x 7, and that there is
    no dropout, which a recipe for ImageNet brings along.
    """
    return mobilenet(channels, classes, _STAGES)


def mobilenet(
    channels: int, classes: int, stages: tuple[tuple[int, int, int, int], ...], width: float = 1.0
) -> nn.Module:
    """Inverted residuals with depthwise convolutions.

    Args:
        channels: Of the images.
        classes: How many.
        stages: Expansion, width, blocks and stride of each stage.
        width: Multiplier of all widths.
    """
    network: Any = MobileNetV2(
        num_classes=classes,
        width_mult=width,
        inverted_residual_setting=[list(stage) for stage in stages],
        dropout=0.0,
    )
    stem = network.features[0]
    stem[0] = nn.Conv2d(channels, stem[0].out_channels, kernel_size=3, padding=1, bias=False)
    built: nn.Module = network
    return built
