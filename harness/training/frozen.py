"""Which parameters a method's words mean, when it freezes some."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.errors import RunError, nearest
from harness.pruning.gates import Gate


def hold_statistics(network: nn.Module) -> None:
    """Put BatchNorm whose scale does not train into evaluation mode, within one that trains."""
    for module in network.modules():
        scale = module.weight if isinstance(module, _BatchNorm) else None
        if scale is not None and not scale.requires_grad:
            module.eval()


ALL_BUT_LAST = "all but last"


def parameters_of(network: nn.Module, names: str | Sequence[str]) -> list[str]:
    """Names of parameters, in the order of the network; a parameter of two names has the first.

    Args:
        network: What they are in.
        names: As of `Freeze`.

    Raises:
        RunError: The network has no such parameter or module.
    """
    named = dict(network.named_parameters())
    modules = {
        name: {id(each) for each in module.parameters()} for name, module in network.named_modules()
    }
    if names == ALL_BUT_LAST:
        layers = [
            module
            for name, module in network.named_modules()
            if list(module.parameters(recurse=False))
            and not isinstance(module, Gate)
            and ".parametrizations" not in name
        ]
        last = {id(each) for each in layers[-1].parameters()}  # with its gate, if it has one
        return [name for name, each in named.items() if id(each) not in last]
    meant: set[int] = set()
    for name in [names] if isinstance(names, str) else names:
        if name in named:
            meant.add(id(named[name]))
        elif modules.get(name):
            meant |= modules[name]
        else:
            known = [*modules, *named, ALL_BUT_LAST]
            raise RunError(
                f"Freeze: the network has no parameter or module '{name}'; {nearest(name, known)}"
            )
    return [name for name, each in named.items() if id(each) in meant]
