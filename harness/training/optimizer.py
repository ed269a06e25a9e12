"""The recipe's optimizer, and its state by the names of parameters.

Names stay the same where parameters become other objects, or are grouped otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.pruning.weights import prunable_weights
from harness.settings.settings import Training

Moments = dict[str, dict[str, Tensor]]
"""What an optimizer keeps of each parameter, by the parameter's name: SGD's momentum, Adam's
moments and count of steps."""


def make_optimizer(
    network: nn.Module,
    recipe: Training,
    device: torch.device,
    layers: Sequence[Collection[str]] = (),
) -> torch.optim.Optimizer:
    """The recipe's optimizer over the parameters that train; see `parameter_groups`."""
    on_gpu = device.type == "cuda"
    groups = parameter_groups(network, recipe, layers)
    rate, fused = recipe.learning_rate, recipe.fused and on_gpu
    if recipe.optimizer == "sgd":
        momentum, nesterov = recipe.momentum, recipe.nesterov
        return torch.optim.SGD(groups, rate, momentum=momentum, nesterov=nesterov, fused=fused)
    capturable = recipe.graphs and on_gpu
    return torch.optim.AdamW(
        groups, rate, recipe.betas, recipe.eps, fused=fused, capturable=capturable
    )


def parameter_groups(
    network: nn.Module, recipe: Training, layers: Sequence[Collection[str]] = ()
) -> list[dict[str, Any]]:
    """The parameters that train: of each layer those that decay, then those that do not.

    Args:
        network: Whose parameters.
        recipe: Says which decay.
        layers: Names of the parameters of each layer with groups of its own, whose number they have
            as "layer"; that of the groups of all others is None.
    """
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    decaying = set(trained)
    if recipe.weight_decay_of == "weights":
        decaying = set(prunable_weights(network)) - _embeddings(network)
    layer_of = {name: number for number, names in enumerate(layers) for name in names}
    groups = [
        {
            "params": [
                each
                for name, each in trained.items()
                if (name in decaying) == decays and layer_of.get(name) == layer
            ],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "layer": layer,
        }
        for layer in (*range(len(layers)), None)
        for decays in (True, False)
    ]
    return [group for group in groups if group["params"]]


def _embeddings(network: nn.Module) -> set[str]:
    """Names of the weights of embeddings, also where another layer shares them."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    found = {id(module.weight) for module in network.modules() if isinstance(module, kinds)}
    return {name for name, each in network.named_parameters() if id(each) in found}


def moments(optimizer: torch.optim.Optimizer, network: nn.Module) -> Moments:
    """What the optimizer keeps of each parameter that has been stepped."""
    held = {name: optimizer.state.get(each) for name, each in network.named_parameters()}
    return {
        name: {key: value for key, value in entries.items() if isinstance(value, Tensor)}
        for name, entries in held.items()
        if entries
    }


def load_moments(
    optimizer: torch.optim.Optimizer, network: nn.Module, saved: Mapping[str, Any]
) -> None:
    """Take over an optimizer's state, each tensor with the strides of its parameter.

    A fused step on CUDA refuses other strides, and one on a CPU steps wrongly.

    Args:
        optimizer: Over parameters of `network`; what it kept of those that are saved is replaced.
        network: In the structure that the state is of.
        saved: As of `moments`; what is of a parameter that does not train is left out.
    """
    parameters = dict(network.named_parameters())
    if "param_groups" in saved:  # older checkpoints number the parameters
        saved = {name: saved["state"].get(number, {}) for number, name in enumerate(parameters)}
    steps_on_device = any(
        group["fused"] or group.get("capturable") for group in optimizer.param_groups
    )
    for name, entries in saved.items():
        parameter = parameters[name]
        if entries and parameter.requires_grad:
            counts = parameter.device if steps_on_device else torch.device("cpu")
            optimizer.state[parameter] = {
                key: value.to(counts) if key == "step" else laid_out_like(parameter, value)
                for key, value in entries.items()
            }


def laid_out_like(parameter: Tensor, values: Tensor) -> Tensor:
    """`values` with the strides of `parameter`, so that one pass over memory serves both."""
    if values.stride() == parameter.stride():
        return values
    return torch.empty_like(parameter, dtype=values.dtype, requires_grad=False).copy_(values)
