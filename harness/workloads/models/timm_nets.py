"""Any classification network of timm (PyTorch Image Models), with weights yet to be trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from harness.errors import UsageError, nearest
from harness.settings.catalogue import TIMM


def builder(name: str) -> Callable[[int, int], nn.Module]:
    """A function `build(channels, classes)` for the network that timm calls `name`.

    Networks keep their strides and the image size that they are made for.

    Raises:
        UsageError: There is no such network, or timm is not installed.
    """
    try:
        import timm
    except ImportError:
        hint = "pip install 'energy-harness[timm]'"
        raise UsageError(f"model '{TIMM}{name}' needs timm; do: {hint}") from None
    if not timm.is_model(name):
        raise UsageError(f"unknown model '{TIMM}{name}'; {nearest(name, timm.list_models())}")
    return partial(_build, timm.create_model, name)


def _build(create: Callable[..., Any], name: str, channels: int, classes: int) -> nn.Module:
    network: nn.Module = create(name, pretrained=False, in_chans=channels, num_classes=classes)
    return network
