"""Small transformers whose heads and hidden neurons can be removed (Vaswani et al., 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from harness.pruning.attention import Attention


def vit_tiny(channels: int, classes: int) -> nn.Module:
    """A vision transformer in patches of 4 x 4, for images of 28 to 32 pixels; 0.45 M parameters.

    Four blocks of width 96 with 6 heads. Positions are fixed and the mean over patches is
    classified, as in "Better plain ViT baselines" (Beyer et al., arXiv 2205.01580), so that images
    may have any size.
    """
    return VisionTransformer(channels, classes, width=96, heads=6, blocks=4, patch=4)


def gpt_tiny(context: int, vocabulary: int) -> nn.Module:
    """A causal transformer over tokens (Radford et al., 2019); 0.36 M parameters for text in bytes.

    Three blocks of width 96 with 6 heads.
    """
    return LanguageModel(context, vocabulary, width=96, heads=6, blocks=3)


class Block(nn.Module):
    """Attention and a feed-forward block, each normalised before and added to what came in.

    Args:
        width: Of the embedding.
        heads: Of attention.
        causal: Each place sees itself and those before it.
    """

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal=causal)
        self.norm_2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """The same shape, (samples, places, width)."""
        hidden = hidden + self.attention(self.norm_1(hidden))
        added: Tensor = hidden + self.feed_forward(self.norm_2(hidden))
        return added


class VisionTransformer(nn.Module):
    """Patches, blocks, the mean over patches, and one linear layer."""

    def __init__(
        self, channels: int, classes: int, width: int, heads: int, blocks: int, patch: int
    ) -> None:
        """Build the network.

        Args:
            channels: Of the images.
            classes: How many.
            width: Of the embedding, a multiple of 4.
            heads: Of each block.
            blocks: How many.
            patch: Height and width of a patch; what an image has beyond whole patches is not seen.
        """
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores, shape (samples, classes)."""
        patches = self.patches(images)
        hidden = patches.flatten(2).transpose(1, 2) + positions(patches)
        scores: Tensor = self.head(self.norm(self.blocks(hidden)).mean(dim=1))
        return scores


def positions(patches: Tensor) -> Tensor:
    """Sines and cosines of where each patch is, shape (patches, width).

    Args:
        patches: Shape (samples, width, rows, columns).
    """
    width, rows, columns = patches.shape[1:]
    device = patches.device
    falling = torch.arange(width // 4, device=device) / (width // 4)
    frequencies = torch.exp(-math.log(10_000.0) * falling)
    angles = [torch.arange(side, device=device)[:, None] * frequencies for side in (rows, columns)]
    down = angles[0][:, None].expand(rows, columns, -1)
    across = angles[1][None].expand(rows, columns, -1)
    waves = [across.sin(), across.cos(), down.sin(), down.cos()]
    return torch.cat(waves, dim=-1).flatten(0, 1).to(patches.dtype)


class LanguageModel(nn.Module):
    """Embeddings of tokens and places, causal blocks, and one linear layer."""

    def __init__(self, context: int, vocabulary: int, width: int, heads: int, blocks: int) -> None:
        """Build the network.

        Args:
            context: The most tokens it sees.
            vocabulary: How many different tokens there are.
            width: Of the embedding.
            heads: Of each block.
            blocks: How many.
        """
        super().__init__()
        self.tokens = _Embedding(vocabulary, width)
        self.places = _Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the next token at each place, shape (samples, places, vocabulary)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.tokens(tokens) + self.places(places)
        scores: Tensor = self.head(self.norm(self.blocks(hidden)))
        return scores


class _Embedding(nn.Embedding):
    """Drawn as small as GPT-2's; torch's own would drown what the blocks add."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
