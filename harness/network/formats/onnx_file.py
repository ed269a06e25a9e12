"""ONNX, by torch's exporter, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.network.formats.base import Infer, Place
from harness.network.formats.torch_export import graph_of

MAX_FILE_BYTES = 2**31
"""What a file of Protocol Buffers can hold; weights of larger networks go to a file beside it."""


def write(network: nn.Module, inputs: Tensor, path: Path) -> None:
    """Write the network with the input `inputs` and the output `outputs`."""
    program: Any = torch.onnx.export(
        graph_of(network, inputs),
        (inputs,),
        input_names=["inputs"],
        output_names=["outputs"],
        dynamo=True,
        verbose=False,
    )
    for node in program.model.graph:
        node.metadata_props.clear()  # how torch came to it, with paths of this machine
    size = sum(each.numel() * each.element_size() for each in network.state_dict().values())
    program.save(path, external_data=size > MAX_FILE_BYTES * 0.9)


def open_file(path: Path, place: Place) -> Infer:
    """A session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = place.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def infer(inputs: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"inputs": inputs.numpy()})[0])

    return infer
