"""A batch of samples, as training, scores and questions see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Batch(NamedTuple):
    """Samples with their labels, on the device of the network.

    Attributes:
        images: Normalised, shape (samples, channels, height, width), float32.
        labels: Shape (samples,), int64.
    """

    images: Tensor
    labels: Tensor
