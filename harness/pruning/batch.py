"""A batch of samples, as training, scores and questions see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Criterion = Callable[[Any, "Tensor"], "Tensor"]
"""From a network's outputs and the targets to the mean loss, a scalar."""


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Samples with their targets, on the device of the network; `inputs, targets = batch` works.

    Attributes:
        inputs: What the network takes. Images: normalised, shape (samples, channels, height,
            width), float32. Text: ids of tokens, shape (samples, context), int64.
        targets: What its outputs are compared with. Classes: shape (samples,), int64. Text: the
            next token at each place, shape (samples, context), int64.
        criterion: The task's loss without label smoothing; None is cross-entropy. See `loss`.
        index: The samples' numbers, shape (samples,), int64, where training chooses among them.
        weights: How much each sample's loss counts, shape (samples,), likewise.
    """

    inputs: Tensor
    targets: Tensor
    criterion: Criterion | None = None
    index: Tensor | None = None
    weights: Tensor | None = None

    def __iter__(self) -> Iterator[Tensor]:
        yield self.inputs
        yield self.targets

    def __getitem__(self, place: int) -> Tensor:
        return (self.inputs, self.targets)[place]

    def loss(self, outputs: Any) -> Tensor:
        """The mean loss of a network's outputs on this batch, by the study's task, a scalar.

        Args:
            outputs: As the network returns them.
        """
        if self.criterion is not None:
            return self.criterion(outputs, self.targets)
        import torch.nn.functional as F

        return F.cross_entropy(output_of(outputs), self.targets)

    @property
    def images(self) -> Tensor:
        """The inputs, by the name that they had while all were images; for older plug-ins."""
        return self.inputs

    @property
    def labels(self) -> Tensor:
        """The targets, by the name that they had while all were labels; for older plug-ins."""
        return self.targets


def output_of(outputs: Any) -> Tensor:
    """The tensor in what a network returns: itself, a tuple's first, or what is called "logits".

    Args:
        outputs: A tensor, a tuple or list, a mapping, or an object with `logits`.

    Raises:
        TypeError: There is none.
    """
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs
    found = outputs.get("logits") if isinstance(outputs, Mapping) else None
    if found is None:
        found = getattr(outputs, "logits", None)
    if found is None and isinstance(outputs, tuple | list) and outputs:
        found = outputs[0]
    if isinstance(found, torch.Tensor):
        return found
    raise TypeError(
        f"the network returns {type(outputs).__name__}: neither a tensor, nor a tuple that begins "
        'with one, nor anything with "logits"'
    )
