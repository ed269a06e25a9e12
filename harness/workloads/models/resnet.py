"""Residual networks for small images (He et al., CVPR 2016), with a stem of 3 x 3 and no pooling.

Where a stage changes width, the shortcut is a 1 x 1 convolution with BatchNorm (the paper's option
B). For CIFAR the paper pads with zero channels (option A), which ties the channels of all stages to
each other, so that they could not be removed; it has 2,752 parameters fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


def resnet18(channels: int, classes: int) -> nn.Module:
    """ResNet-18 with the paper's ImageNet widths, for 32 pixels; 11.17 M parameters."""
    return ResNet(channels, classes, widths=(64, 128, 256, 512), blocks=2)


def resnet18_gn(channels: int, classes: int) -> nn.Module:
    """The same with GroupNorm of 32 groups in place of BatchNorm (Wu & He, ECCV 2018)."""
    widths = (64, 128, 256, 512)
    return ResNet(channels, classes, widths, blocks=2, norm=lambda width: nn.GroupNorm(32, width))


def resnet20(channels: int, classes: int) -> nn.Module:
    """ResNet-20 for CIFAR (section 4.2); 0.27 M parameters."""
    return ResNet(channels, classes, widths=(16, 32, 64), blocks=3)


def resnet56(channels: int, classes: int) -> nn.Module:
    """ResNet-56 for CIFAR (section 4.2); 0.86 M parameters."""
    return ResNet(channels, classes, widths=(16, 32, 64), blocks=9)


class ResNet(nn.Module):
    """A stem, stages of basic blocks, the mean over pixels, and one linear layer."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Sequence[int],
        blocks: int,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        """Build the network.

        Args:
            channels: Of the images.
            classes: How many.
            widths: A stage each; every stage but the first halves the image.
            blocks: In each stage.
            norm: From a number of channels to what normalises them.
        """
        super().__init__()
        self.stem = nn.Sequential(
            *_conv_norm(channels, widths[0], 3, 1, norm), nn.ReLU(inplace=True)
        )
        stages: list[nn.Module] = []
        width = widths[0]
        for number, wider in enumerate(widths):
            for block in range(blocks):
                stages.append(_Block(width, wider, 2 if number and not block else 1, norm))
                width = wider
        self.blocks = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Class scores, shape (samples, classes)."""
        scores: Tensor = self.head(self.blocks(self.stem(images)))
        return scores


class _Block(nn.Module):
    def __init__(self, width: int, wider: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_conv_norm(width, wider, 3, stride, norm),
            nn.ReLU(inplace=True),
            *_conv_norm(wider, wider, 3, 1, norm),
        )
        same = stride == 1 and width == wider
        projection = [] if same else _conv_norm(width, wider, 1, stride, norm)
        self.shortcut = nn.Sequential(*projection)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.residual(features) + self.shortcut(features))
        return activated


def _conv_norm(width: int, wider: int, size: int, stride: int, norm: Norm) -> list[nn.Module]:
    convolution = nn.Conv2d(width, wider, size, stride, padding=size // 2, bias=False)
    return [convolution, norm(wider)]
