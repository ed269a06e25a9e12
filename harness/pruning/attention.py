"""Attention whose heads can be removed.

Queries, keys, values and outputs have a linear layer each, and their inner width is the number of
heads times the size of a head, whatever the width of the embedding is. A head goes with its rows of
the first three layers, its columns of the last one, and what the module keeps of it besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017).

    Args:
        width: Of the embedding.
        heads: How many there are.
        head_size: Width of each; None for `width / heads`.
        causal: Each place sees itself and those before it.
        bias: Whether the linear layers have one.
        dropout: Share of the attention weights that training drops.

    Attributes:
        q: Makes the queries, `width` to `heads * head_size`.
        k: Makes the keys, likewise.
        v: Makes the values, likewise.
        o: Makes the output, `heads * head_size` to `width`; holds the gate of the heads.
    """

    unit_axes: ClassVar[dict[str, int]] = {}
    """Of the module's own tensors that hold something of each head: along which axis."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        head_size: int | None = None,
        causal: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.head_size = head_size or width // heads
        self.causal = causal
        self.dropout = dropout
        inner = heads * self.head_size
        self.q = nn.Linear(width, inner, bias=bias)
        self.k = nn.Linear(width, inner, bias=bias)
        self.v = nn.Linear(width, inner, bias=bias)
        self.o = nn.Linear(inner, width, bias=bias)

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return self.q.out_features // self.head_size

    def forward(self, values: Tensor) -> Tensor:
        """Attend, shape (samples, places, width)."""
        return self.attend(values, values, values, causal=self.causal)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool
    ) -> Tensor:
        """Attend from the places of `query` to those of `key` and `value`.

        Args:
            query: Shape (samples, places, width).
            key: Shape (samples, other places, width of keys).
            value: Likewise.
            mask: Added to the scores before the softmax, or where there is none to attend if it is
                of type bool and false; any shape that broadcasts to (samples, heads, places, other
                places).
            causal: Each place sees itself and those before it.
        """
        mixed = F.scaled_dot_product_attention(
            *self.split(query, key, value),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.joined(mixed)

    def split(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each head, shape (samples, heads, places, head size)."""
        q, k, v = (
            layer(each).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for layer, each in ((self.q, query), (self.k, key), (self.v, value))
        )
        return q, k, v

    def joined(self, mixed: Tensor) -> Tensor:
        """The output from what each head found, shape (samples, heads, places, head size)."""
        output: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return output

    def parts_of_heads(self) -> Iterator[str]:
        """Names of layers within that have an output for each head."""
        yield from ()

    def restored(self, module: Any) -> Any:  # noqa: ARG002 - those made of another module use it
        """Give the module that this was made of these weights; None if it cannot hold them.

        Args:
            module: Of the class that `of` takes, as its builder makes it; changed in place.
        """
        return None

    def _merged(self) -> tuple[Tensor, Tensor | None]:
        """Weights and biases of queries, keys and values as one matrix and one vector."""
        layers = (self.q, self.k, self.v)
        weight = torch.cat([layer.weight for layer in layers])
        if self.q.bias is None:
            return weight, None
        none = torch.zeros_like(self.q.bias)
        return weight, torch.cat([none if each.bias is None else each.bias for each in layers])
