"""Another way to compute with the same weights."""

from __future__ import annotations

import copy

from torch import nn


def twin(network: nn.Module) -> nn.Module:
    """Other modules with the very same parameters and buffers."""
    shared = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in shared})
