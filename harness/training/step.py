"""One training step, the same in Python and in a CUDA graph, with penalties on weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from harness.method.phases import Train
from harness.pruning.batch import Batch, output_of
from harness.pruning.groups import gamma, scales
from harness.pruning.lasso import SMOOTHING, LassoWeight, lasso_weights
from harness.settings.settings import Training
from harness.training.average import MovingAverage
from harness.training.precision import autocast, quantise_gradients, quantise_state
from harness.training.state import TrainingState, hold_at_zero


class Step:
    """Forward and backward pass, penalties, the optimizer's step, masks. It waits for nothing.

    Args:
        state: Changed in place; its structure and its masks must stay the same objects.
        phase: For its penalties and its arithmetic.
        training: The recipe.

    Attributes:
        total: Sum of the losses since it was last zeroed, a scalar on the device.
    """

    def __init__(self, state: TrainingState, phase: Train, training: Training) -> None:
        self._state = state
        self._training = training
        self._precision = phase.precision or training.precision
        self._device = state.workload.device
        self._network = state.in_training(self._precision)
        self._parameters = list(state.network.parameters())
        self._masked, self._masks = list(state.masked().values()), list(state.masks.values())
        self._penalise = penalties(state.network, phase)
        self._losses = state.losses if phase.select else None
        self._average = MovingAverage(state.average, state.network, training.ema or 0.0)
        self.total = torch.zeros((), device=self._device)

    def __call__(self, batch: Batch, whole: int, move: Callable[[], None] | None = None) -> None:
        """Train on one batch.

        Args:
            batch: This process's share.
            whole: How many samples the batch has in all.
            move: What takes the place of the optimizer's step.
        """
        state, optimizer = self._state, self._state.optimizer
        if state.world.size == 1:
            whole = len(batch.targets)
        optimizer.zero_grad(set_to_none=True)
        parts = parts_in(batch, whole, self._training)
        for number, part in enumerate(parts, start=1):
            alone = number < len(parts)
            with state.world.without_reducing(self._network) if alone else nullcontext():
                with autocast(self._precision, self._device):
                    outputs = self._network(part.inputs)
                    loss = self._loss(outputs, part, whole)
                loss.backward()  # type: ignore[no-untyped-call]
            self.total += loss.detach()
        self._penalise()
        if self._training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._training.clip_norm)
        if self._precision == "int8_simulated":
            quantise_gradients(self._parameters)
        if move is not None:
            move()
        else:
            optimizer.step()
            if self._precision == "int8_simulated":
                quantise_state(optimizer)
            hold_at_zero(self._masked, self._masks)
        self._average.move()

    def _loss(self, outputs: Any, part: Batch, whole: int) -> Tensor:
        """What a part adds to the loss; of samples that were chosen each loss is kept, and weighed.

        The mean is over the samples of the batch, whatever their weights are.
        """
        state, training = self._state, self._training
        if self._losses is None or part.index is None or part.weights is None:
            return mean_loss(outputs, part.targets, state, training, whole)
        losses = sample_losses(outputs, part.targets, state, training)
        self._losses[part.index] = losses.detach()
        return (losses * part.weights).sum() / whole


def parts_of(whole: int, training: Training) -> int:
    """In how many parts a batch of `whole` samples is computed, so that the last one may be fewer.

    A part has at most `batch_size / accumulate` samples, rounded up.
    """
    return -(-whole // -(-training.batch_size // training.accumulate))


def parts_in(batch: Batch, whole: int, training: Training) -> list[Batch]:
    """A process's share of a batch in parts, as many in every process, as equal as may be.

    Samples are dealt out to the parts in turn. So a part of all processes together is that of a
    single one, where shares begin at multiples, and BatchNorm sees the same.

    Args:
        batch: This process's share.
        whole: How many samples the batch has in all.
        training: The recipe.
    """
    count = parts_of(whole, training)
    own = (slice(first, None, count) for first in range(count))
    return [_taken(batch, part) for part in own]


def _taken(batch: Batch, part: slice) -> Batch:
    index, weights = (each if each is None else each[part] for each in (batch.index, batch.weights))
    return Batch(batch.inputs[part], batch.targets[part], index=index, weights=weights)


def mean_loss(
    outputs: Any, targets: Tensor, state: TrainingState, training: Training, whole: int
) -> Tensor:
    """The mean loss of a batch; of a part of one, what adds up to that over parts and processes.

    Args:
        outputs: Of the network, for a part of the batch, or all of it.
        targets: There may be none, if the batch is smaller than the world.
        state: With the task, and the processes that share the batch; torch takes the mean of their
            gradients.
        training: The recipe.
        whole: How many samples the batch has in all.
    """
    task, world, smoothing = state.workload.task, state.world, training.label_smoothing
    found = output_of(outputs)
    if world.size == 1 and len(targets) == whole:
        return task.loss(found, targets, "mean", smoothing)
    return task.loss(found, targets, "sum", smoothing) * world.size / whole


def sample_losses(
    outputs: Any, targets: Tensor, state: TrainingState, training: Training
) -> Tensor:
    """The loss of each sample as training sees it, float32, shape (samples,)."""
    task, smoothing = state.workload.task, training.label_smoothing
    return task.loss(output_of(outputs), targets, "none", smoothing).float()


@contextmanager
def batches_counted_at_the_end(network: nn.Module, steps: int) -> Iterator[None]:
    """Count an epoch's batches in BatchNorm layers once: each step would launch a kernel a layer.

    The count is the same afterwards. Layers whose statistics depend on it keep counting, and so do
    those of a network that torch compiled, whose code holds the count.

    Args:
        network: As it trains.
        steps: Of the epoch.
    """
    compiled = any(hasattr(module, "_orig_mod") for module in network.modules())
    counted: list[tuple[nn.Module, Any]] = []
    if not compiled:
        for module in network.modules():
            count = getattr(module, "num_batches_tracked", None)
            plain = type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
            counts = module.training and count is not None and module.momentum is not None
            if plain and counts:
                counted.append((module, count))
                module.register_buffer("num_batches_tracked", None)
    try:
        yield
        for _, count in counted:
            count.add_(steps)
    finally:
        for module, count in counted:
            module.register_buffer("num_batches_tracked", count)


def penalties(network: nn.Module, phase: Train) -> Callable[[], None]:
    """What to call after each backward pass of an epoch; it never waits for the device.

    Args:
        network: Its structure must stay while the function is in use.
        phase: Says which penalties, and how heavy.
    """
    layers = scales(network).values() if phase.l1_gamma else ()
    weights = [scale for scale in map(gamma, layers) if scale.requires_grad]
    groups = lasso_weights(network) if phase.group_lasso else []

    def add() -> None:
        if weights:
            add_l1_gamma(weights, phase.l1_gamma)
        if groups:
            add_group_lasso(groups, phase.group_lasso)

    return add


@torch.no_grad()
def add_l1_gamma(scales: Sequence[Tensor], weight: float) -> None:
    """Add the subgradient `weight * sign(scale)` to each scale's gradient (Liu et al., 2017).

    Scales without a gradient, of layers that the forward pass skipped, do not move and stay so.
    """
    used = [scale for scale in scales if scale.grad is not None]
    if used:
        # One launch for all layers.
        signs = torch._foreach_sign(used)  # noqa: SLF001 - torch's own optimizers rest on it
        torch._foreach_add_([scale.grad for scale in used], signs, alpha=weight)  # type: ignore[misc]


@torch.no_grad()
def add_group_lasso(groups: Sequence[LassoWeight], weight: float) -> None:
    """Add the gradient of `weight * group_lasso(network)` (Lym et al., 2019)."""
    for parameter, groupings in groups:
        if parameter.grad is None:
            continue
        squares = parameter.square()
        for along in groupings:
            over_norm = (squares.sum(along, keepdim=True) + SMOOTHING).rsqrt()
            parameter.grad.addcmul_(parameter, over_norm, value=weight)
