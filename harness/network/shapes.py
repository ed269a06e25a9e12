"""Weights of a smaller network into one that is newly built: its layers take their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from harness.errors import RunError

MAX_NAMED = 3


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network all of its parameters and buffers; layers become as narrow as theirs.

    Args:
        network: As its builder makes it, at full size; changed in place.
        tensors: By name, every one that the network has and no other.

    Raises:
        RunError: They are those of another network.
    """
    own = network.state_dict(keep_vars=True)
    missing, unknown = own.keys() - tensors.keys(), tensors.keys() - own.keys()
    for what, names in (("has no", missing), ("has an unknown", unknown)):
        if names:
            listed = ", ".join(sorted(names)[:MAX_NAMED])
            raise RunError(f"the file of weights {what} {listed}: it is of another network")
    for name, tensor in tensors.items():
        if not _fits(tensor, own[name]):
            raise RunError(
                f"the file of weights has {name} of shape {tuple(tensor.shape)} and type "
                f"{tensor.dtype}, where the network has at most {tuple(own[name].shape)} of "
                f"{own[name].dtype}: it is of another network"
            )
    shared: dict[int, nn.Parameter] = {}
    for path, module in network.named_modules():
        before = _widths(module)
        for name, old in [
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ]:
            found = tensors.get(f"{path}.{name}".lstrip("."))
            if found is None:  # a buffer that is not saved
                continue
            value = found.to(old.device).clone()
            if isinstance(old, nn.Parameter):  # layers that share one keep sharing it
                value = shared.setdefault(id(old), nn.Parameter(value, old.requires_grad))
            setattr(module, name, value)
        _count(module, before)


def _fits(tensor: Tensor, own: Tensor) -> bool:
    return (
        tensor.dtype == own.dtype
        and tensor.ndim == own.ndim
        and all(0 < new <= old for new, old in zip(tensor.shape, own.shape, strict=True))
    )


def _widths(module: Any) -> int:
    """Channels that GroupNorm normalises together; 1 elsewhere."""
    return module.num_channels // module.num_groups if isinstance(module, nn.GroupNorm) else 1


@torch.no_grad()
def _count(module: Any, together: int) -> None:
    """Let a layer know how wide its weights are."""
    if isinstance(module, _ConvNd):
        depthwise = module.groups == module.in_channels == module.out_channels
        made, read = (1, 0) if isinstance(module, _ConvTransposeNd) else (0, 1)
        if depthwise and module.groups > 1:
            module.groups = module.in_channels = module.out_channels = len(module.weight)
        else:
            module.out_channels = module.weight.shape[made] * (module.groups if made else 1)
            module.in_channels = module.weight.shape[read] * (module.groups if read else 1)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm | _InstanceNorm) and module.weight is not None:
        module.num_features = len(module.weight)
    elif isinstance(module, nn.GroupNorm) and module.weight is not None:
        module.num_channels = len(module.weight)
        module.num_groups = module.num_channels // together
