"""Attention of other libraries, converted in place and with its weights so that heads can go.

`nn.MultiheadAttention` cannot hold an inner width of its own (pytorch#103668), and torchvision's
Swin and timm have one layer for queries, keys and values:

    nn.MultiheadAttention (alone, in nn.Transformer*Layer and in torchvision's ViT)
    torchvision's ShiftedWindowAttention and its second version
    timm's Attention

Where all heads are left, or the original can hold fewer, it can be restored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.pruning.attention import Attention

if TYPE_CHECKING:
    from torchvision.models.swin_transformer import ShiftedWindowAttention


class _Projection(nn.Linear):
    """One of the three that `nn.MultiheadAttention` keeps, and draws, as one matrix."""

    def reset_parameters(self) -> None:
        bound = math.sqrt(6 / (self.in_features + 3 * self.out_features))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class TorchAttention(Attention):
    """What `nn.MultiheadAttention` computes, called as it is.

    Attributes:
        batch_first: False, so that the layers around it do not take their fused path, which reads
            weights that are not here.
    """

    batch_first = False
    in_proj_bias = None
    _qkv_same_embed_dim = False

    @classmethod
    def of(cls, module: nn.MultiheadAttention) -> TorchAttention | None:
        """The same attention; None for keys and values that are the same for all samples."""
        if module.bias_k is not None or module.bias_v is not None or module.add_zero_attn:
            return None
        width, bias = module.embed_dim, module.in_proj_bias is not None
        own = cls(width, module.num_heads, bias=bias, dropout=module.dropout)
        own.samples_first = module.batch_first
        weights = (
            module.in_proj_weight.chunk(3)
            if module.in_proj_weight is not None
            else (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        )
        biases = module.in_proj_bias.chunk(3) if bias else (None, None, None)
        own.q, own.k, own.v = (
            _filled(_Projection, weight, bias) for weight, bias in zip(weights, biases, strict=True)
        )
        own.o = _filled(nn.Linear, module.out_proj.weight, module.out_proj.bias)
        return own

    samples_first = True

    @torch.no_grad()
    def restored(self, module: Any) -> Any:
        """As of `Attention`; torch's module holds as many heads as its embedding is wide."""
        if self.heads != module.num_heads:
            return None
        weight, bias = self._merged() if module.in_proj_weight is not None else (None, None)
        if weight is not None:
            module.in_proj_weight = nn.Parameter(weight)
        else:
            module.q_proj_weight = nn.Parameter(self.q.weight.detach().clone())
            module.k_proj_weight = nn.Parameter(self.k.weight.detach().clone())
            module.v_proj_weight = nn.Parameter(self.v.weight.detach().clone())
            layers = (self.q, self.k, self.v)
            biases: list[Tensor] = [each.bias for each in layers if each.bias is not None]
            bias = torch.cat(biases) if biases else None
        module.in_proj_bias = None if bias is None else nn.Parameter(bias)
        module.out_proj.load_state_dict(self.o.state_dict())
        return module

    @property
    def num_heads(self) -> int:
        """As `nn.MultiheadAttention` calls them."""
        return self.heads

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention.forward`."""
        alone = query.ndim == 2
        if alone:
            query, key, value = (each.unsqueeze(0) for each in (query, key, value))
        elif not self.samples_first:
            query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        mask = self._mask(query, key, attn_mask, key_padding_mask)
        if need_weights:
            output, weights = self._with_weights(query, key, value, mask)
            if average_attn_weights:
                weights = weights.mean(dim=1)
            weights = weights.squeeze(0) if alone else weights
        else:
            # As torch's: the hint is taken only where no mask would be lost by it.
            causal = is_causal and key_padding_mask is None
            output = self.attend(query, key, value, None if causal else mask, causal=causal)
            weights = None
        if alone:
            output = output.squeeze(0)
        elif not self.samples_first:
            output = output.transpose(0, 1)
        return output, weights

    def _mask(
        self, query: Tensor, key: Tensor, mask: Tensor | None, padding: Tensor | None
    ) -> Tensor | None:
        """Both masks as one to add; torch's say with true where there is nothing to attend to."""
        found = None
        if mask is not None:
            found = _to_add(mask, query.dtype)
            if found.ndim == 3:
                found = found.view(len(query), -1, *found.shape[1:])
        if padding is not None:
            added = _to_add(padding, query.dtype).view(-1, 1, 1, key.shape[1])
            found = added if found is None else found + added
        return found

    def _with_weights(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        q, k, v = self.split(query, key, value)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_size)
        weights = (scores if mask is None else scores + mask).softmax(dim=-1)
        weights = F.dropout(weights, self.dropout, self.training)
        return self.joined(weights @ v), weights


def _to_add(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)


class WindowAttention(Attention):
    """What torchvision's `ShiftedWindowAttention` computes (Liu et al., ICCV 2021).

    Attributes:
        relative_position_bias_table: Shape (relative positions, heads).
    """

    unit_axes: ClassVar[dict[str, int]] = {"relative_position_bias_table": 1}

    @classmethod
    def of(cls, module: ShiftedWindowAttention) -> WindowAttention | None:
        """The same attention, in windows."""
        own = cls(module.qkv.in_features, module.num_heads, bias=False)
        own.window_size, own.shift_size = list(module.window_size), list(module.shift_size)
        own.dropout, own.output_dropout = module.attention_dropout, module.dropout
        weights = module.qkv.weight.chunk(3)
        q, k, v = module.qkv.bias.chunk(3) if module.qkv.bias is not None else (None, None, None)
        biases = (q, k if cls.keys_have_bias else None, v)
        own.q, own.k, own.v = (
            _filled(nn.Linear, weight, bias) for weight, bias in zip(weights, biases, strict=True)
        )
        own.o = _filled(nn.Linear, module.proj.weight, module.proj.bias)
        own.register_buffer("relative_position_index", module.relative_position_index)
        own._take_positions(module)
        return own

    window_size: list[int]
    shift_size: list[int]
    output_dropout: float
    keys_have_bias = True

    def _take_positions(self, module: ShiftedWindowAttention) -> None:
        self.relative_position_bias_table = module.relative_position_bias_table

    @torch.no_grad()
    def restored(self, module: Any) -> Any:
        """As of `Attention`; torchvision's module takes its inner width from the embedding's."""
        if self.heads != module.num_heads:
            return None
        weight, bias = self._merged()
        module.qkv.weight = nn.Parameter(weight)
        module.qkv.bias = None if bias is None else nn.Parameter(bias)
        module.proj.load_state_dict(self.o.state_dict())
        own = dict(self.named_parameters())
        for name, parameter in module.named_parameters():
            if name in own:  # what it has of positions
                parameter.copy_(own[name])
        return module

    def positions(self) -> Tensor:
        """The bias of each pair of places in a window, shape (heads, places, places)."""
        return self._by_pair(self.relative_position_bias_table)

    def _by_pair(self, table: Tensor) -> Tensor:
        places = self.window_size[0] * self.window_size[1]
        index: Any = self.relative_position_index
        return table[index].view(places, places, -1).permute(2, 0, 1)

    def mixed(self, windows: Tensor, mask: Tensor) -> Tensor:
        """What each head finds in each window, shape (windows, heads, places, head size)."""
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(
            *self.split(windows, windows, windows), attn_mask=mask, dropout_p=dropout
        )

    def forward(self, values: Tensor) -> Tensor:
        """Attend within windows of an image, shape (samples, height, width, embedding)."""
        samples, height, width, _ = values.shape
        rows, columns = self.window_size
        padded = F.pad(values, (0, 0, 0, -width % columns, 0, -height % rows))
        high, wide = padded.shape[1:3]
        # A window as large as the image has nowhere to be shifted to.
        shift = [
            0 if window >= side else by
            for window, side, by in zip(
                self.window_size, (high, wide), self.shift_size, strict=True
            )
        ]
        rolled = padded.roll((-shift[0], -shift[1]), (1, 2)) if sum(shift) else padded
        # Samples, rows of windows, columns of windows, places in a window, embedding.
        cut = rolled.view(samples, high // rows, rows, wide // columns, columns, -1)
        windows = cut.transpose(2, 3).flatten(3, 4)
        mask = self.positions().to(values.dtype)
        if sum(shift):
            apart = self._apart(high, wide, shift, values)
            mask = (mask + apart.unsqueeze(1)).repeat(samples, 1, 1, 1)
        output = self.joined(self.mixed(windows.flatten(0, 2), mask))
        output = F.dropout(output, self.output_dropout, self.training)
        cut = output.view(samples, high // rows, wide // columns, rows, columns, -1)
        image = cut.transpose(2, 3).reshape(samples, high, wide, -1)
        if sum(shift):
            image = image.roll((shift[0], shift[1]), (1, 2))
        return image[:, :height, :width].contiguous()

    def _apart(self, high: int, wide: int, shift: list[int], like: Tensor) -> Tensor:
        """-100 for places in one shifted window that the image holds apart, by window."""
        rows, columns = self.window_size
        region = like.new_zeros((high, wide))
        cuts = [
            (slice(-window), slice(-window, -by), slice(-by, None))
            for window, by in zip(self.window_size, shift, strict=True)
        ]
        for number, (down, across) in enumerate((a, b) for a in cuts[0] for b in cuts[1]):
            region[down, across] = number
        cut = region.view(high // rows, rows, wide // columns, columns)
        places = cut.transpose(1, 2).reshape(-1, rows * columns)
        differ = places.unsqueeze(1) != places.unsqueeze(2)
        return torch.zeros_like(differ, dtype=like.dtype).masked_fill_(differ, -100.0)


class CosineWindowAttention(WindowAttention):
    """What torchvision's `ShiftedWindowAttentionV2` computes (Liu et al., CVPR 2022).

    Attributes:
        logit_scale: Temperature of each head, shape (heads, 1, 1).
        cpb_mlp: From relative positions to a bias for each head.
    """

    unit_axes: ClassVar[dict[str, int]] = {"logit_scale": 0}
    keys_have_bias = False
    """The original sets it to zero with each step."""

    def _take_positions(self, module: Any) -> None:
        self.logit_scale = module.logit_scale
        self.cpb_mlp = module.cpb_mlp
        self.register_buffer("relative_coords_table", module.relative_coords_table)

    def parts_of_heads(self) -> Iterator[str]:
        """The last layer of the network that makes the biases of positions."""
        yield f"cpb_mlp.{len(self.cpb_mlp) - 1}"

    def positions(self) -> Tensor:
        """The bias of each pair of places in a window, shape (heads, places, places)."""
        table = self.cpb_mlp(self.relative_coords_table).flatten(0, -2)
        return 16 * torch.sigmoid(self._by_pair(table))

    def mixed(self, windows: Tensor, mask: Tensor) -> Tensor:
        """As of `WindowAttention`, from the cosine between queries and keys."""
        q, k, v = self.split(windows, windows, windows)
        cosine = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = cosine * self.logit_scale.clamp(max=math.log(100.0)).exp() + mask
        return F.dropout(scores.softmax(dim=-1), self.dropout, self.training) @ v


class TimmAttention(Attention):
    """What timm's `Attention` computes, queries and keys normalised where it does so."""

    q_norm: nn.Module
    k_norm: nn.Module
    proj_drop: nn.Module

    @classmethod
    def of(cls, module: Any) -> TimmAttention | None:
        """The same attention; None where heads are mixed before the last layer."""
        if not isinstance(module.norm, nn.Identity) or getattr(module, "gate", None) is not None:
            return None
        width, size = module.qkv.in_features, module.head_dim
        own = cls(width, module.num_heads, head_size=size, bias=False)
        own.dropout = module.attn_drop.p
        biases = module.qkv.bias.chunk(3) if module.qkv.bias is not None else (None, None, None)
        own.q, own.k, own.v = (
            _filled(nn.Linear, weight, bias)
            for weight, bias in zip(module.qkv.weight.chunk(3), biases, strict=True)
        )
        own.o = _filled(nn.Linear, module.proj.weight, module.proj.bias)
        own.q_norm, own.k_norm, own.proj_drop = module.q_norm, module.k_norm, module.proj_drop
        return own

    @torch.no_grad()
    def restored(self, module: Any) -> Any:
        """As of `Attention`; timm's module can hold any number of heads."""
        weight, bias = self._merged()
        module.qkv = _filled(nn.Linear, weight, bias)
        module.proj = self.o
        module.q_norm, module.k_norm, module.proj_drop = self.q_norm, self.k_norm, self.proj_drop
        module.num_heads, module.attn_dim = self.heads, self.o.in_features
        return module

    def split(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each head, normalised."""
        q, k, v = super().split(query, key, value)
        return self.q_norm(q), self.k_norm(k), v

    def forward(
        self,
        x: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """As timm's `Attention.forward`."""
        output: Tensor = self.proj_drop(self.attend(x, x, x, attn_mask, causal=is_causal))
        return output


def _filled(kind: type[nn.Linear], weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear layer with these weights."""
    layer = kind(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def convert_attention(network: nn.Module) -> nn.Module:
    """Put an `Attention` in the place of every module of another library that is known.

    Args:
        network: Changed in place. Its modes stay as they are; frozen parameters are trained.
    """
    for name, module in list(network.named_modules()):
        convert = _converter(module)
        own = convert(module) if convert else None
        if own is not None:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, own.train(module.training))
    for module in network.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # a path that only torch's own attention can take
    return network


def restore_attention(network: nn.Module, original: nn.Module) -> nn.Module:
    """Undo `convert_attention` wherever the original modules can hold the heads that are left.

    Args:
        network: Without gates; changed in place.
        original: The network as its builder makes it; not to be used afterwards.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, Attention) and not isinstance(
            there := original.get_submodule(name), Attention
        ):
            restored = module.restored(there)
            if restored is not None:
                parent, _, child = name.rpartition(".")
                setattr(network.get_submodule(parent), child, restored.train(module.training))
    return network


def _converter(module: nn.Module) -> Callable[[Any], Attention | None] | None:
    kind = type(module)
    if kind is nn.MultiheadAttention:
        return TorchAttention.of
    if kind.__module__ == "torchvision.models.swin_transformer":
        return _SWIN.get(kind.__name__)
    if kind.__module__.startswith("timm.") and kind.__name__ == "Attention":
        return TimmAttention.of if all(hasattr(module, name) for name in _TIMM) else None
    return None


_SWIN = {
    "ShiftedWindowAttention": WindowAttention.of,
    "ShiftedWindowAttentionV2": CosineWindowAttention.of,
}
_TIMM = ("qkv", "proj", "head_dim", "attn_drop", "proj_drop", "q_norm", "k_norm", "norm")
"""What timm's attention consists of; it has other modules of the same name."""
