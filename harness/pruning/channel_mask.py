"""Which channels of a network stay: a value without tensors, so that methods can reason on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ChannelMask:
    """Keep (1) or drop (0) for every prunable channel.

    Attributes:
        layers: From the name of a channel group (that of its first BatchNorm layer) to a string of
            "0" and "1", a character a channel. Layers whose channels are coupled by a residual
            connection are one group and appear once; under a concatenation a layer's channels may
            belong to several groups. Channels that cannot be removed are in none.
    """

    layers: Mapping[str, str]

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return sum(map(len, self.layers.values()))

    @property
    def kept(self) -> int:
        """How many channels stay."""
        return sum(bits.count("1") for bits in self.layers.values())

    def widths(self) -> dict[str, int]:
        """How many channels stay, by group."""
        return {name: bits.count("1") for name, bits in self.layers.items()}

    def dropped(self, name: str) -> list[int]:
        """The indices of the channels that group `name` loses."""
        return [index for index, bit in enumerate(self.layers[name]) if bit == "0"]

    def then(self, later: ChannelMask) -> ChannelMask:
        """This mask and then `later`, which is of the channels that this one keeps, in one.

        Raises:
            ValueError: `later` is not of the network that this mask leaves.
        """
        if self.widths() != {name: len(bits) for name, bits in later.layers.items()}:
            raise ValueError("the later channel mask is of another network than the first leaves")
        layers = {}
        for name, bits in self.layers.items():
            rest = iter(later.layers[name])
            layers[name] = "".join(next(rest) if bit == "1" else "0" for bit in bits)
        return ChannelMask(layers)

    def distance(self, other: ChannelMask) -> float:
        """The mask distance: normalised Hamming distance, 0 (equal) to 1 (You et al., 2020).

        Raises:
            ValueError: The masks are of different networks.
        """
        shape = {name: len(bits) for name, bits in self.layers.items()}
        if shape != {name: len(bits) for name, bits in other.layers.items()}:
            raise ValueError("mask distance between masks of different networks")
        differing = sum(
            (int(bits, 2) ^ int(other.layers[name], 2)).bit_count()
            for name, bits in self.layers.items()
            if bits
        )
        return differing / max(self.channels, 1)
