"""A method's own function on the network: weights may change in place, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from harness.errors import RunError
from harness.pruning.batch import Batch


def call(name: str, function: Callable[[Any, Any], Any], network: nn.Module, batch: Batch) -> Any:
    """Call the function of a `Do`, and return its answer.

    Args:
        name: Of the phase, for messages.
        function: As of `Do`.
        network: Changed in place.
        batch: Training samples.

    Raises:
        RunError: It changed more than values.
    """
    before = _held(network)
    answer = function(network, batch)
    after = _held(network)
    for what in before.keys() | after.keys():
        if before.get(what) != after.get(what):
            raise RunError(
                f"'{name}' changed {what[1] or 'the network'} ({what[0]}): the function of a Do "
                "sets values in place (with torch.no_grad()); Shrink and Freeze change structure "
                "and what trains"
            )
    return answer


def _held(network: nn.Module) -> dict[tuple[str, str], tuple[Any, ...]]:
    """By kind and name, what must stay: objects, and shape and kind of each tensor."""
    tensors = [
        *(("parameter", name, each) for name, each in network.named_parameters()),
        *(("buffer", name, each) for name, each in network.named_buffers()),
    ]
    return {
        **{("module", name): (id(each),) for name, each in network.named_modules()},
        **{
            (kind, name): (id(each), each.shape, each.dtype, each.device, each.requires_grad)
            for kind, name, each in tensors
        },
    }
