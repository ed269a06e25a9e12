"""Making a network smaller, and carrying along what belongs to the weights that stay."""

from __future__ import annotations

from torch import Tensor, nn

from harness.channel_mask import ChannelMask
from harness.pruning.channels import channel_groups
from harness.pruning.groups import ChannelGroup
from harness.pruning.parity import exact_copy, example_of, removes_cleanly
from harness.pruning.removal import remove


def shrink(network: nn.Module, mask: ChannelMask, example: Tensor) -> dict[str, Tensor]:
    """Remove in place the channels that `mask` drops, with everything coupled to them.

    Surviving weights stay bit-equal. Parameters of layers that lose something become new objects,
    without gradients, so an optimizer made before does not train them: build a new one. Before
    anything changes, the removal is tried on a copy: it must compute what the network computes
    with the dropped channels silenced.

    Args:
        network: Changed in place; modes and frozen parameters stay as they are. Weights that were
            laid out channels_last are contiguous afterwards.
        mask: Names the network's channel groups as they are now; each keeps at least one channel.
        example: A batch of inputs, to trace the network.

    Returns:
        For each parameter and buffer the flat indices (int64, on the CPU) of the entries that
        survived, in the new shape, with which `harness.pruning.removal.carried` takes an
        optimizer's state along.

    Raises:
        ValueError: The mask does not fit the network, or empties a layer; or the network is such
            that removing channels would change more than silencing them.
    """
    groups = channel_groups(network, example)
    _check(groups, mask)
    if mask.kept < mask.channels and not removes_cleanly(
        exact_copy(network), groups, mask, example_of(example)
    ):
        raise ValueError(
            f"removing channels from {type(network).__name__} would change what it computes"
            " beyond silencing them, so it is left as it was"
        )
    return remove(network, groups, mask)


def _check(groups: list[ChannelGroup], mask: ChannelMask) -> None:
    sizes = {group.name: group.size for group in groups}
    if sizes != {name: len(bits) for name, bits in mask.layers.items()}:
        raise ValueError("the channel mask is of another network than this one")
    empty = [name for name, width in mask.widths().items() if width == 0]
    if empty:
        raise ValueError(f"the channel mask leaves no channel in {', '.join(empty)}")
