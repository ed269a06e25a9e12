"""What a network costs on paper: parameters and multiply-accumulate operations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from harness.pruning.size import Size

_WITHOUT_PRODUCTS = (
    "_assert_async _local_scalar_dense _reshape_alias _safe_softmax _unsafe_view "
    "adaptive_max_pool2d adaptive_max_pool3d arange as_strided copy detach dropout empty_like "
    "equal fill glu is_same_size lift_fresh linalg_vector_norm max_unpool2d native_channel_shuffle "
    "new_empty new_full new_ones new_zeros ones ones_like pixel_shuffle pixel_unshuffle rand randn "
    "roll stack tril triu unsafe_chunk unsafe_split unsafe_split_with_sizes upsample_bicubic2d "
    "upsample_bilinear2d upsample_linear1d upsample_nearest1d upsample_nearest2d "
    "upsample_nearest3d upsample_trilinear3d zero zeros zeros_like"
)
"""Further operators without products of activations and weights, or with so few that the field does
not count them, such as pooling and interpolation."""
_WITH_PRODUCTS = frozenset({"_cdist_forward", "_pdist_forward", "_fft_c2c", "_fft_c2r", "_fft_r2c"})
"""Of the core operators that `FlopCounterMode` has no formula for, those with products."""


def size_of(network: nn.Module, example: Tensor, masks: Mapping[str, Tensor]) -> Size:
    """Count parameters, MACs of one forward pass of one sample, and the density under `masks`.

    Masked weights still take part in every product, so they count as parameters and MACs. Attention
    and recurrence are counted as the matrix products that they consist of. An operator that may
    have products and that no formula is known for is named in `uncounted`.
    """
    was_training = network.training
    network.eval()
    seen = _Operators()
    with torch.no_grad(), _unfused(network), seen, FlopCounterMode(display=False) as counter:
        network(example[:1])
    network.train(was_training)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    dropped = sum(mask.numel() - int(mask.sum()) for mask in masks.values())
    counted = counter.flop_registry
    return Size(
        parameters,
        # The counter counts a multiply-accumulate as two operations.
        counter.get_total_flops() // 2,
        1 - dropped / parameters,
        tuple(sorted({str(each) for each in seen.found if each.overloadpacket not in counted})),
    )


@contextmanager
def _unfused(network: nn.Module) -> Iterator[None]:
    """Run attention and recurrence as matrix products: the counter does not see into fused ones."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if any(isinstance(module, nn.RNNBase) for module in network.modules()):
                stack.enter_context(
                    warnings.catch_warnings(action="ignore")
                )  # of TF32, some builds
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operators that run and may have products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[Any] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if _may_multiply(func):
            self.found.add(func)
        return func(*args, **(kwargs or {}))


def _may_multiply(func: Any) -> bool:
    """Whether an operator may be more than views, moves, sums and element-wise work."""
    tags = {*func.tags, *_tags_out_of_place(func)}
    if func.is_view or {torch.Tag.pointwise, torch.Tag.inplace_view} & tags:
        return False
    namespace, _, name = func.name().partition("::")
    name = name.partition(".")[0]
    if namespace == "prim":
        return False
    if namespace != "aten" or name in _WITH_PRODUCTS:
        return True
    return torch.Tag.core not in tags and name.removesuffix("_") not in _WITHOUT_PRODUCTS.split()


def _tags_out_of_place(func: Any) -> list[torch.Tag]:
    """Tags of an in-place operator's out-of-place form; many of its own are missing in torch.

    Empty for any other operator, and where a formula counts the products of that form.
    """
    name = func.overloadpacket.__name__
    sibling = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    if sibling is None or sibling in flop_registry:
        return []
    return getattr(sibling, func._overloadname, func).tags  # type: ignore[no-any-return]  # noqa: SLF001
