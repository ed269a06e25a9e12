"""The trained network of a run as a plain module, without running anything inside its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RunError, UsageError
from harness.network.record import RECORD, WEIGHTS, NetworkRecord, read_record, sha256_of
from harness.network.shapes import fill
from harness.pruning.batch import output_of
from harness.pruning.converted_attention import convert_attention, restore_attention
from harness.settings.catalogue import resolve_model
from harness.workloads.encoding import Prediction


def load_network(run: str | os.PathLike[str]) -> nn.Module:
    """The trained network of a finished run, in evaluation mode, on the CPU.

    It is a module as its builder makes it, with narrower layers where a method removed channels.
    Attention that lost heads which its own class cannot do without is the harness's `Attention`.

    Args:
        run: The run's folder, such as "results/runs/early_bird/seed-0".

    Raises:
        UsageError: There is none, or it is damaged, or its model is not installed here.
    """
    folder = Path(run)
    return network_of(read_record(folder), folder)


def network_of(record: NetworkRecord, folder: Path) -> nn.Module:
    """As `load_network`, of a record that has been read."""
    path = folder / WEIGHTS
    try:
        if sha256_of(path) != record.weights_sha256:
            raise UsageError(f"{path}: not the file that the run wrote; it has been changed")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    build = resolve_model(record.model)
    try:
        tensors = _tensors(path)
        _check_outputs(record, tensors)
        network: nn.Module = build(record.inputs, record.outputs)
        if record.converts:
            convert_attention(network)
        fill(network, tensors)
        if record.converts:
            restore_attention(network, build(record.inputs, record.outputs))
        _try(network.eval(), record)
    except RunError as error:
        raise UsageError(f"{path}: {error}") from None
    return network


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"no file of weights that can be read: {error}") from None


def _check_outputs(record: NetworkRecord, tensors: Mapping[str, Tensor]) -> None:
    """A layer has as many outputs as the network: else its builder would be let take any memory.

    Raises:
        RunError: None has.
    """
    largest = max((size for each in tensors.values() for size in each.shape), default=0)
    if record.outputs > largest:
        raise RunError(
            f"no layer has {record.outputs:,} outputs, as {RECORD} says: it is of another network"
        )


def example_for(record: NetworkRecord) -> Tensor:
    """A batch of one input of the shape and type that the network takes."""
    shape = (1, *record.encoding.shape)
    if record.encoding.kind == "text":
        return torch.zeros(shape, dtype=torch.int64)
    return torch.zeros(shape)


@torch.no_grad()
def _try(network: nn.Module, record: NetworkRecord) -> None:
    """Find out whether the layers fit each other.

    Raises:
        RunError: They do not.
    """
    try:
        output_of(network(example_for(record)))
    except Exception as error:  # noqa: BLE001 - whatever layers of wrong widths raise
        raise RunError(f"its layers do not fit each other: {error}") from None


@torch.no_grad()
def predict(run: str | os.PathLike[str] | tuple[NetworkRecord, nn.Module], raw: Any) -> Prediction:
    """What the trained network of a run says of a raw input.

    Args:
        run: The run's folder; or its record and its network, where many inputs are asked about.
        raw: A picture's path or a PIL image, or a text; else a tensor as the data set gives it.

    Raises:
        UsageError: The run has no network, or the network cannot take the input.
    """
    if isinstance(run, tuple):
        record, network = run
    else:
        record = read_record(Path(run))
        network = network_of(record, Path(run))
    return record.encoding.decode(output_of(network(record.encoding.encode(raw))))
