"""The size of a network: a value without tensors, so that methods can reason on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """What is left of a network; the answer to `Shrink` and `Mask`.

    Attributes:
        parameters: Parameters in memory.
        macs: Multiply-accumulate operations of one forward pass of one sample.
        density: Share of the weights in memory that a mask leaves alive (1.0 without a mask).
        uncounted: Operators that `macs` leaves out because no formula for them is known.
    """

    parameters: int
    macs: int
    density: float
    uncounted: tuple[str, ...] = ()
