"""FreezeOut (Brock et al., 2017, arXiv 1706.04983)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness import Budget, Freeze, Inspect, LayerRate, Method, Phases, Ratio, Train

if TYPE_CHECKING:
    from torch import nn

POWERS = {"linear": 1, "squared": 2, "cubic": 3}


class FreezeOut(Method):
    """Anneal the learning rates of early layers sooner, and freeze each once its rate is zero.

    The first layer is frozen after the share `first` of the budget, the last one at its end, those
    between at even steps. Frozen layers in front of the first that trains need no backward pass.
    A layer's rate falls along a cosine to zero at the place where it is frozen, whatever the
    recipe's schedule is; if scaled, it begins higher by as much as its training is shorter. The
    paper finds no gain for VGG, where it loses accuracy, which is a claim to test, too.

    Deviation from the code: a layer is frozen at the end of the epoch in which its rate becomes
    zero, so that until then its BatchNorm still follows the batches. A layer is what the network
    lists one after the other: a convolution with its norm, or a residual or attention block.
    """

    first: Ratio = 0.8
    """Share of the budget after which the first layer is frozen, before it is taken to the power
    of `how` (t_0 in the paper; the code: 0.8)."""
    how: Literal["linear", "squared", "cubic"] = "cubic"
    """Power to which the shares of all layers are taken: cubic ends early layers sooner."""
    scaled: bool = True
    """Divide the rate of a layer by the share of the budget that it trains for."""

    def phases(self, budget: Budget) -> Phases:
        layers = [tuple(names) for names in (yield Inspect(layers_in_order()))]
        shares = [self.share(number, len(layers)) for number in range(len(layers))]
        rates = tuple(
            LayerRate(names, share * budget.epochs, 1 / share if self.scaled else 1.0)
            for names, share in zip(layers, shares, strict=True)
        )
        # A share of 0.3 of 10 epochs may be a little more than 3 of them.
        ends = [math.ceil(round(share * budget.epochs, 6)) for share in shares]
        epoch = 0
        for end in sorted({*ends, budget.epochs}):
            yield Train("train", epochs=end - epoch, rates=rates)
            epoch = end
            if epoch < budget.epochs:
                frozen = [
                    n for names, e in zip(layers, ends, strict=True) if e <= end for n in names
                ]
                yield Freeze(tuple(frozen), statistics=True)

    def share(self, number: int, layers: int) -> float:
        """The share of the budget that a layer trains for."""
        place = number / (layers - 1) if layers > 1 else 1.0
        return (self.first + (1 - self.first) * place) ** POWERS[self.how]


@dataclass(frozen=True)
class layers_in_order:  # noqa: N801 - reads as the function it stands for
    """Names of the modules of each layer, in the order in which the network lists them.

    Lists of modules are opened. Norms belong to the layer in front of them, and so do parameters
    that the network holds itself.
    """

    def __call__(self, network: nn.Module, _batch: Any) -> list[list[str]]:
        """At least one; modules without parameters are left out."""
        found: list[list[str]] = []
        for name, module in _opened(network):
            if not any(True for _ in module.parameters()):
                continue
            if found and _is_norm(module):
                found[-1].append(name)
            else:
                found.append([name])
        own = [name for name, _ in network.named_parameters(recurse=False)]
        return [[*own, *found[0]], *found[1:]] if found else [own]

    def dummy_answer(self) -> list[list[str]]:
        """None, of a network that is not known: all train to the end."""
        return []


def _opened(network: nn.Module, path: str = "") -> list[tuple[str, nn.Module]]:
    from torch import nn

    found: list[tuple[str, nn.Module]] = []
    for name, module in network.named_children():
        place = f"{path}{name}"
        if isinstance(module, nn.Sequential | nn.ModuleList):
            found += _opened(module, f"{place}.")
        else:
            found.append((place, module))
    return found


def _is_norm(module: nn.Module) -> bool:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    return isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm)
