"""ExecuTorch's programs, with XNNPACK's kernels where it has some, in its runtime for Python."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from harness.network.formats.base import MAX_BATCH, Infer, Place
from harness.network.formats.torch_export import graph_of


def write(network: nn.Module, inputs: Tensor, path: Path) -> None:
    """Write the program."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    # Passes on the way take what holds for the batch that is traced for bounds of the graph's, and
    # memory is planned for the upper one.
    largest = inputs[:1].expand(MAX_BATCH, *inputs.shape[1:]).contiguous()
    graph = graph_of(network, largest, MAX_BATCH)
    lowered = to_edge_transform_and_lower(graph, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)


def open_file(path: Path, place: Place) -> Infer:
    """The program's method `forward`."""
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    # There is one pool of threads in the process, and no other name for setting it.
    portable_lib._unsafe_reset_threadpool(place.threads)  # noqa: SLF001
    program = Runtime.get().load_program(path)

    def infer(inputs: Tensor) -> Tensor:
        output: Tensor = program.load_method("forward").execute((inputs.contiguous(),))[0]
        return output

    return infer
