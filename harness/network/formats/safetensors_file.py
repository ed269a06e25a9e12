"""Weights as safetensors, which the harness makes a module of again."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from harness.network.formats.base import Infer, Place
from harness.network.formats.torch_export import in_torch
from harness.network.load import load_network
from harness.network.save import write_tensors


def write(network: nn.Module, _inputs: Tensor, path: Path) -> None:
    """Write weights and buffers."""
    write_tensors(path, network.state_dict())


def open_file(path: Path, place: Place) -> Infer:
    """The module, with what the record beside the weights says of it."""
    return in_torch(load_network(path.parent), place)
