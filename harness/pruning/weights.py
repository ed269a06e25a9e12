"""Masks on single weights: scores, and the global threshold among the weights still alive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.pruning.batch import Batch

Scores = dict[str, "Tensor"]
"""A score for every weight, by the parameter's name; higher stays."""


def magnitude(network: nn.Module, _batch: Batch) -> Scores:
    """|w| of every prunable weight (Han et al., 2015)."""
    return {name: weight.detach().abs() for name, weight in prunable_weights(network).items()}


def prunable_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights that methods may mask, by name, in the order of `named_parameters`.

    They are the weights of convolutions (transposed ones too), linear and bilinear layers,
    embeddings, recurrent layers, and the projections of `nn.MultiheadAttention`. All else stays
    dense: biases, norms, and parameters of any other module, such as class tokens, position
    embeddings and layer scales. Of a layer under weight or spectral normalisation the direction is
    meant, not the scale; under any other parametrisation a zero would not stay one, so those
    weights are left out. A weight that several layers share appears once. A frozen weight
    (`requires_grad` is False) keeps its value, so it is not among them.
    """
    prunable = {id(weight) for module in network.modules() for weight in _weights_of(module)}
    return {
        name: weight
        for name, weight in network.named_parameters()
        if id(weight) in prunable and weight.requires_grad
    }


def _weights_of(module: nn.Module) -> Iterator[Tensor]:
    """The weights of one layer, if it is of a kind that has prunable ones."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd
    from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm

    linear = nn.Linear | nn.Bilinear | nn.Embedding | nn.EmbeddingBag | nn.MultiheadAttention
    if not isinstance(module, _ConvNd | linear | nn.RNNBase | nn.RNNCellBase):
        return
    for name, weight in module.named_parameters(recurse=False):
        # The scale of the older `torch.nn.utils.weight_norm` is called "weight_g".
        if "weight" in name and not name.endswith("_g"):
            yield weight
    parametrised: dict[str, Any] = dict(getattr(module, "parametrizations", {}))
    for name, how in parametrised.items():
        kinds = {type(each) for each in how}
        if "weight" in name and kinds == {_WeightNorm}:
            yield how.original1
        elif "weight" in name and kinds == {_SpectralNorm}:
            yield how.original


@dataclass(frozen=True)
class erdos_renyi:  # noqa: N801 - reads as the function it stands for
    """Random scores under which one global threshold leaves Erdos-Renyi-Kernel densities.

    The first prunable layer of the network has no score, so it stays dense and does not count, as
    in the official code of RigL on CIFAR-10 and ImageNet. Masking the share `1 - density` by the
    scores leaves each other tensor `erdos_renyi_densities` of its weights, rounded to whole
    weights, at places drawn from torch's generator of the CPU.

    Attributes:
        density: Share of the weights of all other layers to leave alive.
    """

    density: float

    def __call__(self, network: nn.Module, _batch: Batch) -> Scores:
        """Score the weights of `network`; float64, so that large tensors hold no ties."""
        import torch

        weights = dict(list(prunable_weights(network).items())[1:])
        shapes = {name: weight.shape for name, weight in weights.items()}
        scores = {}
        for name, share in erdos_renyi_densities(shapes, self.density).items():
            weight = weights[name]
            rank = torch.randperm(weight.numel(), device="cpu").to(torch.float64)
            # A divisor method (Sainte-Lague): whatever the threshold is, the tensors' counts are in
            # proportion to their quotas; the threshold that leaves the sum of the quotas is -1.
            score = -(rank + 0.5) / (share * weight.numel())
            # Apple's GPUs have no float64.
            device = torch.device("cpu") if weight.device.type == "mps" else weight.device
            scores[name] = score.reshape(weight.shape).to(device)
        return scores

    def describe(self) -> dict[str, Any]:
        """The score as JSON, for the journal."""
        return {"erdos_renyi": asdict(self)}


def erdos_renyi_densities(shapes: Mapping[str, Sequence[int]], density: float) -> dict[str, float]:
    """The Erdos-Renyi-Kernel distribution of sparsity (Evci et al., ICML 2020).

    A tensor's density is in proportion to the sum of its dimensions over their product. Where that
    exceeds 1 the tensor is dense, and the others share what is left.

    Args:
        shapes: The shapes of the tensors, by name.
        density: Share of all weights to leave alive, between 0 and 1.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        sparse = [name for name in shapes if name not in dense]
        left = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        scale = left / max(sum(sum(shapes[name]) for name in sparse), 1)
        shares = {name: scale * sum(shapes[name]) / sizes[name] for name in sparse}
        full = {name for name, share in shares.items() if share > 1}
        if not full:
            return {name: shares.get(name, 1.0) for name in shapes}
        dense |= full


def prune_weights(scores: Scores, masks: Mapping[str, Tensor], fraction: float) -> Scores:
    """Drop the lowest-scored `fraction` of the weights still alive, by one global threshold.

    Exactly `round(alive * fraction)` weights go; among equal scores the first in order go first.
    The new masks are where the scores are, which may be another device than that of the old ones.

    Args:
        scores: A tensor a parameter; higher stays.
        masks: The masks so far (ones and zeros); a parameter without one is wholly alive.
        fraction: Strictly between 0 and 1.

    Returns:
        New masks (float32), each within the mask before it.
    """
    import torch

    alive = {
        name: masks[name].to(score.device) if name in masks else torch.ones_like(score)
        for name, score in scores.items()
    }
    flat = torch.cat([score.flatten() for score in scores.values()])
    candidates = torch.cat([mask.flatten() for mask in alive.values()]).nonzero().flatten()
    order = flat[candidates].argsort(stable=True)
    drop = candidates[order[: round(len(candidates) * fraction)]]
    survivors = torch.zeros(flat.shape, device=flat.device)
    survivors[candidates] = 1
    survivors[drop] = 0
    sizes = [score.numel() for score in scores.values()]
    pieces = survivors.split(sizes)  # type: ignore[no-untyped-call]
    return {
        name: piece.reshape(score.shape)
        for (name, score), piece in zip(scores.items(), pieces, strict=True)
    }
