"""Pre-activation residual networks for small images (He et al., ECCV 2016), with bottlenecks.

The widths are those of the networks in Network Slimming (Liu et al., 2017) and Early-Bird Tickets
(You et al., 2020). Two deviations from their code: every channel of a stage is removed from the
whole stage or stays, where they select channels again in front of each block and keep the stage at
full width; and a shortcut that changes the width reads the activated features, as in He et al.,
where theirs reads the raw ones, which no BatchNorm scale could silence.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

_EXPANSION = 4


def preresnet101(channels: int, classes: int) -> nn.Module:
    """Depth 101 = 9 * 11 + 2: three stages of 11 blocks, 64, 128 and 256 channels wide."""
    return PreResNet(channels, classes, widths=(16, 32, 64), blocks=11)


class PreResNet(nn.Module):
    """A stem, stages of bottlenecks, BatchNorm, the mean over pixels, and one linear layer."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int], blocks: int) -> None:
        """Build the network.

        Args:
            channels: Of the images.
            classes: How many.
            widths: Of the bottlenecks, a stage each; the stages are four times as wide, and every
                one but the first halves the image.
            blocks: In each stage.
        """
        super().__init__()
        width = widths[0]
        self.stem = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        stages: list[nn.Module] = []
        for number, narrow in enumerate(widths):
            for block in range(blocks):
                stages.append(_Bottleneck(width, narrow, stride=2 if number and not block else 1))
                width = narrow * _EXPANSION
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Class scores, shape (samples, classes)."""
        scores: Tensor = self.head(self.blocks(self.stem(images)))
        return scores


class _Bottleneck(nn.Module):
    def __init__(self, width: int, narrow: int, stride: int) -> None:
        super().__init__()
        wide = narrow * _EXPANSION
        self.activation = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            nn.Conv2d(width, narrow, kernel_size=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, narrow, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, wide, kernel_size=1, bias=False),
        )
        self.projection: nn.Module | None = None
        if stride != 1 or width != wide:
            self.projection = nn.Conv2d(width, wide, kernel_size=1, stride=stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        activated = self.activation(features)
        shortcut = features if self.projection is None else self.projection(activated)
        total: Tensor = shortcut + self.residual(activated)
        return total
