"""Any classification network of torchvision, by its name there, with weights yet to be trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn
from torchvision import models

from harness.errors import UsageError, nearest
from harness.settings.catalogue import TORCHVISION

_COLOURS = 3
# The heads that these train beside the main one would need a loss of their own.
_SINGLE_HEAD = {"aux_logits": False, "init_weights": False}
_OPTIONS: dict[str, dict[str, Any]] = {"googlenet": _SINGLE_HEAD, "inception_v3": _SINGLE_HEAD}


def builder(name: str) -> Callable[[int, int], nn.Module]:
    """A function `build(channels, classes)` for the network that torchvision calls `name`.

    Networks keep their ImageNet strides and their least image size. For images of other than three
    channels, the first convolution is replaced by one that takes them.

    Raises:
        UsageError: There is no such network, or it does not classify images.
    """
    known = models.list_models(module=models)
    if name in known:
        return partial(_build, name)
    if name in models.list_models():
        raise UsageError(f"model '{TORCHVISION}{name}' does not classify images")
    raise UsageError(f"unknown model '{TORCHVISION}{name}'; {nearest(name, known)}")


def _build(name: str, channels: int, classes: int) -> nn.Module:
    network: nn.Module = models.get_model(
        name, weights=None, num_classes=classes, **_OPTIONS.get(name, {})
    )
    if channels != _COLOURS:
        _take_channels(network, channels)
    return network


def _take_channels(network: nn.Module, channels: int) -> None:
    name, first = next(
        (name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)
    )
    parent, _, own = name.rpartition(".")
    convolution = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_size=first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    setattr(network.get_submodule(parent), own, convolution)
