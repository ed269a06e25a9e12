"""Small networks whose units have no BatchNorm: of attention, feed-forward blocks, plain layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)

from harness.pruning.attention import Attention

CLASSES = 5
WORDS = 11


class Perceptron(nn.Sequential):
    """Two hidden layers."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(3 * 8 * 8, 24),
            nn.ReLU(),
            nn.Linear(24, 16),
            nn.GELU(),
            nn.Linear(16, CLASSES),
        )


class PlainUNet(nn.Module):
    """Convolutions without normalisation, one transposed, and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 16, 3, 2, 1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.out = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        high = torch.relu(self.down(images))
        low = torch.relu(self.up(torch.relu(self.deep(high))))
        joined = torch.relu(self.out(torch.cat([high, low], 1)))
        return self.head(joined).mean((2, 3))


class GroupNormed(nn.Module):
    """Residual blocks with GroupNorm: 2 and 4 channels are normalised together."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = (_normed(3), _normed(16), _normed(16))
        self.strided = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(8, 32))
        self.head = nn.Linear(32, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.stem(images))
        hidden = torch.relu(hidden + self.second(torch.relu(self.first(hidden))))
        return self.head(torch.relu(self.strided(hidden)).mean((2, 3)))


def _normed(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.GroupNorm(8, 16))


class Language(nn.Module):
    """Two blocks of causal attention over words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 16)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.LayerNorm(16),
                    Attention(16, 4, causal=True),
                    nn.LayerNorm(16),
                    nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)),
                ]
            )
            for _ in range(2)
        )
        self.head = nn.Linear(16, WORDS)

    def forward(self, ids: Tensor) -> Tensor:
        hidden = self.words(ids)
        for norm, attention, norm_2, block in self.blocks:  # type: ignore[misc]
            hidden = hidden + attention(norm(hidden))
            hidden = hidden + block(norm_2(hidden))
        return self.head(hidden)


class Encoder(nn.Module):
    """Torch's own encoder layers."""

    def __init__(self, *, batch_first: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=batch_first)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=batch_first)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, values: Tensor) -> Tensor:
        return self.head(self.layers(values).mean(1))


def _vit() -> nn.Module:
    vit = VisionTransformer(
        image_size=16,
        patch_size=8,
        num_layers=2,
        num_heads=4,
        hidden_dim=16,
        mlp_dim=32,
        num_classes=CLASSES,
    )
    nn.init.normal_(vit.heads.head.weight)  # zero at first, which would hide everything
    return vit


def _swin(second: bool) -> nn.Module:
    version = (
        {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2} if second else {}
    )
    swin = SwinTransformer(
        [4, 4],
        12,
        [2, 2],
        [3, 6],
        [3, 3],
        num_classes=CLASSES,
        stochastic_depth_prob=0.0,
        **version,  # type: ignore[arg-type]
    )
    for parameter in swin.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.2)
    return swin


def _convnext() -> nn.Module:
    blocks = [CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 1)]
    return ConvNeXt(blocks, stochastic_depth_prob=0.0, layer_scale=0.5, num_classes=CLASSES)


FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (Perceptron, (3, 8, 8)),
    "plain U-Net": (PlainUNet, (3, 8, 8)),
    "GroupNorm": (GroupNormed, (3, 8, 8)),
    "language": (Language, (6,)),
    "encoder": (Encoder, (5, 16)),
    "ViT": (_vit, (3, 16, 16)),
    "Swin": (lambda: _swin(second=False), (3, 32, 32)),
    "Swin 2": (lambda: _swin(second=True), (3, 32, 32)),
    "ConvNeXt": (_convnext, (3, 32, 32)),
}
"""A builder and the shape of a sample, by name."""


def make(family: str) -> tuple[nn.Module, Tensor]:
    """A network with seeded weights, in float64, and two samples."""
    torch.manual_seed(0)
    build, shape = FAMILIES[family]
    samples = (
        torch.randint(WORDS, (2, *shape))
        if family == "language"
        else torch.randn(2, *shape).double()
    )
    return build().double(), samples
