"""Penalties on weights, added to the gradients as their own gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from harness.batch_norm import gamma, scaled_batch_norms
from harness.phases import Train
from harness.pruning.lasso import SMOOTHING, LassoWeight, lasso_weights


def penalties(network: nn.Module, phase: Train) -> Callable[[], None]:
    """What to call after each backward pass of an epoch; it never waits for the device.

    Args:
        network: Its structure must stay while the function is in use.
        phase: Says which penalties, and how heavy.
    """
    layers = scaled_batch_norms(network).values() if phase.l1_gamma else ()
    scales = [scale for scale in map(gamma, layers) if scale.requires_grad]
    groups = lasso_weights(network) if phase.group_lasso else []

    def add() -> None:
        if scales:
            add_l1_gamma(scales, phase.l1_gamma)
        if groups:
            add_group_lasso(groups, phase.group_lasso)

    return add


@torch.no_grad()
def add_l1_gamma(scales: Sequence[Tensor], weight: float) -> None:
    """Add the subgradient `weight * sign(scale)` to each scale's gradient (Liu et al., 2017)."""
    gradients = [scale.grad for scale in scales]
    # One launch for all layers.
    signs = torch._foreach_sign(list(scales))  # noqa: SLF001 - torch's own optimizers rest on it
    torch._foreach_add_(gradients, signs, alpha=weight)  # type: ignore[arg-type]


@torch.no_grad()
def add_group_lasso(groups: Sequence[LassoWeight], weight: float) -> None:
    """Add the gradient of `weight * group_lasso(network)` (Lym et al., 2019)."""
    for parameter, groupings in groups:
        if parameter.grad is None:
            continue
        squares = parameter.square()
        for along in groupings:
            over_norm = (squares.sum(along, keepdim=True) + SMOOTHING).rsqrt()
            parameter.grad.addcmul_(parameter, over_norm, value=weight)
