"""The graph of `torch.export`; ONNX and ExecuTorch are made from it, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export, load, save

from harness.errors import UsageError
from harness.network.formats.base import Infer, Place
from harness.pruning.batch import output_of


def write(network: nn.Module, inputs: Tensor, path: Path) -> None:
    """Write the graph with its weights."""
    save(graph_of(network, inputs), path)


def open_file(path: Path, place: Place) -> Infer:
    """The graph as a module."""
    return in_torch(load(path).module(), place)


class _Outputs(nn.Module):
    """A network whose forward pass returns a tensor, whatever it is wrapped in."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return output_of(self.network(inputs))


def graph_of(network: nn.Module, inputs: Tensor, max_batch: int | None = None) -> ExportedProgram:
    """A network as a graph for any number of samples.

    Args:
        network: In evaluation mode.
        inputs: A batch of two: with a batch of one the graph would be for that alone.
        max_batch: Samples that it takes at most; None for any number.
    """
    batch = Dim("batch", min=1, max=max_batch)
    with torch.no_grad():
        found = export(_Outputs(network), (inputs,), dynamic_shapes=({0: batch},))
    for node in found.graph.nodes:
        # Paths of the machine that it was made on are no business of the file's readers.
        node.meta.pop("stack_trace", None)
    return found


def in_torch(network: Any, place: Place) -> Infer:
    """A module that runs with a given number of threads.

    Raises:
        UsageError: The device is not there.
    """
    here = {"cpu", *(["cuda"] if torch.cuda.is_available() else [])}
    if torch.backends.mps.is_available():
        here.add("mps")
    if place.device not in here:
        raise UsageError(f"--device {place.device}: torch sees none here")
    torch.set_num_threads(place.threads)
    on_device = network.to(place.device)

    @torch.inference_mode()
    def infer(inputs: Tensor) -> Tensor:
        return output_of(on_device(inputs.to(place.device))).cpu()

    return infer
