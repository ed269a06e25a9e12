"""Writing the trained network of a run where `harness.network.load` finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from harness.network.record import MASKS, WEIGHTS, NetworkRecord, sha256_of, write_record
from harness.utils.atomic_write import write_atomically


def save_network(
    folder: Path, network: nn.Module, masks: Mapping[str, Tensor], known: Mapping[str, Any]
) -> None:
    """Write weights, masks and record.

    Args:
        folder: The run's.
        network: As it leaves the run, gates folded in.
        masks: Ones and zeros by parameter name, for the weights held at zero.
        known: All that `NetworkRecord` says but for the file of weights.
    """
    write_tensors(folder / WEIGHTS, network.state_dict())
    if masks:
        write_tensors(folder / MASKS, {name: mask.bool() for name, mask in masks.items()})
    # Last, so that where there is a record there are weights.
    write_record(folder, NetworkRecord(**known, weights_sha256=sha256_of(folder / WEIGHTS)))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name as safetensors."""
    # Copies, since weights that layers share cannot be written twice otherwise.
    plain = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    write_atomically(path, save(plain, metadata={"format": "pt"}))
