"""Choosing the samples that an epoch trains on, by a method's rule on the latest losses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import RunError
from harness.method.phases import Train
from harness.pruning.batch import Batch
from harness.settings.settings import Training
from harness.training.precision import autocast
from harness.training.state import TrainingState, stream
from harness.training.step import sample_losses
from harness.workloads.source import split


class Selection:
    """The choice of one epoch.

    Args:
        state: Whose latest losses are read, and written where it looks.
        phase: With the rule that chooses.
        training: The recipe.
        seed: The run's seed; random numbers follow from it and the number of the epoch.

    Attributes:
        samples: How many samples the epoch draws; known once `choose` was called.
        looks: Whether each batch is chosen from once its losses are found.
        steps: How many batches were handed out to train on.
        samples_trained: How many samples they had.
    """

    def __init__(self, state: TrainingState, phase: Train, training: Training, seed: int) -> None:
        if phase.select is None:
            raise ValueError(f"'{phase.name}' chooses nothing")
        if state.world.size > 1:
            raise RunError(
                f"'{phase.name}' chooses samples, which works in one process only; set "
                "engine.gpus_per_run = 1"
            )
        if state.losses is None:
            device = state.workload.device
            state.losses = torch.full((len(state.workload.train),), torch.nan, device=device)
        self.samples = self.steps = self.samples_trained = 0
        self.looks = phase.select.looks
        self._state = state
        self._rule = phase.select.rule
        self._training = training
        self._precision = phase.precision or training.precision
        self._seed = seed
        self._losses = state.losses
        self._weights = torch.empty(0)
        self._is_asked = False

    def choose(self, order: Tensor) -> Tensor:
        """What stays of an epoch's order; the rule is asked once, unless it looks at batches."""
        if not self.looks:
            size = self._training.batch_size
            if not self._is_asked:
                self._is_asked = True
                self._weights = self._ask(split(order.cpu(), size), 0)
            order = order[self._weights.to(order.device)[order] > 0]
        self.samples = len(order)
        return order

    def ready(self, batches: Iterable[Batch]) -> Iterator[tuple[int, Batch]]:
        """What to train on, and the number of the batch that was drawn for it, from 0."""
        size, number = self._training.batch_size, 0
        gathered: list[_Samples] = []
        for number, drawn in enumerate(batches):
            if not self.looks:
                yield number, self._counted(self._weighed(drawn))
                continue
            batch = self._state.resized(drawn)
            self._look(batch)
            self._weights = self._ask([_index(batch).cpu()], number)
            found = self._weighed(batch)
            gathered = [_joined([*gathered, found.some(found.weights > 0)])]
            while len(gathered[0]) >= size:
                yield number, self._counted(gathered[0].some(slice(None, size)))
                gathered = [gathered[0].some(slice(size, None))]
        fewest = 2 if size > 1 else 1  # BatchNorm takes no single one
        if gathered and len(gathered[0]) >= fewest:
            yield number, self._counted(gathered[0])

    def _ask(self, batches: Sequence[Tensor], number: int) -> Tensor:
        """The rule's weights for all samples, on the device of the losses."""
        seed = stream(self._seed, "select", self._state.epochs_trained, number)
        losses = self._losses.cpu()
        weights = self._rule(losses, batches, torch.Generator().manual_seed(seed))
        if not isinstance(weights, Tensor) or weights.shape != losses.shape:
            raise RunError("select: the rule must answer with a weight for each training sample")
        if not bool((weights.isfinite() & (weights >= 0)).all()):
            raise RunError("select: the rule's weights must be finite, and not below 0")
        return weights.to(self._losses.device, torch.float32)

    def _weighed(self, batch: Batch) -> _Samples:
        index = _index(batch)
        return _Samples(batch.inputs, batch.targets, index, self._weights[index])

    @torch.no_grad()
    def _look(self, batch: Batch) -> None:
        """Find the losses of a batch; running statistics stay as they are."""
        forward, network = self._state.forward(self._precision), self._state.network
        forward.eval()
        network.eval()
        with autocast(self._precision, self._state.workload.device):
            outputs = forward(batch.inputs)
            losses = sample_losses(outputs, batch.targets, self._state, self._training)
        self._losses[_index(batch)] = losses
        self._state.in_training(self._precision)

    def _counted(self, samples: _Samples) -> Batch:
        self.steps += 1
        self.samples_trained += len(samples)
        inputs, targets, index, weights = samples.columns
        return Batch(inputs, targets, index=index, weights=weights)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Samples with their numbers and weights, each of the shape (samples, ...)."""

    inputs: Tensor
    targets: Tensor
    index: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def columns(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.inputs, self.targets, self.index, self.weights

    def some(self, which: Tensor | slice) -> _Samples:
        return _Samples(*(column[which] for column in self.columns))


def _joined(parts: Sequence[_Samples]) -> _Samples:
    """Samples one after the other."""
    return _Samples(*map(torch.cat, zip(*(part.columns for part in parts), strict=True)))


def _index(batch: Batch) -> Tensor:
    """The numbers of a batch's samples."""
    if batch.index is None:
        raise ValueError("the source draws batches without the numbers of their samples")
    return batch.index
