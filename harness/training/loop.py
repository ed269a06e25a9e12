"""The one training loop that every method shares, and the one evaluation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.phases import Train
from harness.settings import Training
from harness.training.block_floating_point import quantise_gradients, quantise_state
from harness.training.penalties import penalties
from harness.training.precision import autocast
from harness.training.rewiring import Rewiring
from harness.training.schedule import rate_share
from harness.training.seeds import stream
from harness.training.state import TrainingState, hold_at_zero
from harness.training.world import World
from harness.workloads.source import Source


def train_epoch(state: TrainingState, phase: Train, training: Training, seed: int) -> Tensor:
    """Train one epoch; nothing in it waits for the device.

    Args:
        state: Changed in place.
        phase: For its schedule, its penalties, its arithmetic and its rewiring.
        training: The recipe.
        seed: The run's seed; order and augmentation follow from it and the number of the epoch.

    Returns:
        The mean training loss, a scalar still on the device.
    """
    device = state.workload.device
    epoch_seed = stream(seed, "epoch", state.epochs_trained)
    torch.manual_seed(epoch_seed + state.world.part.rank)  # each draws its own for its samples
    precision = phase.precision or training.precision
    network = state.forward(precision).train()
    state.network.train()
    optimizer = state.optimizer
    parameters = list(state.network.parameters())
    masked, masks = list(state.masked().values()), list(state.masks.values())
    batches = state.workload.train.epoch(training.batch_size, epoch_seed)
    penalise = penalties(state.network, phase)
    rewiring = Rewiring(state, phase.rewire, len(batches)) if phase.rewire else None
    horizon = phase.horizon or training.epochs
    total = torch.zeros((), device=device)
    samples = len(state.workload.train)
    for step, (images, labels) in enumerate(batches):
        place = state.schedule_epoch + step / len(batches)
        rate = training.learning_rate * (phase.rate or rate_share(training, place, horizon))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with autocast(precision, device):
            whole = min(training.batch_size, samples - step * training.batch_size)
            loss = mean_loss(network(images), labels, training, state.world, whole)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        penalise()
        if precision == "int8_simulated":
            quantise_gradients(parameters)
        if rewiring and rewiring.is_due(step):
            rewiring.move(step)
        else:
            optimizer.step()
            if precision == "int8_simulated":
                quantise_state(optimizer)
            hold_at_zero(masked, masks)
        total += loss.detach()
    state.schedule_epoch += 1
    state.epochs_trained += 1
    return state.world.summed(total) / state.world.size / len(batches)


def mean_loss(
    logits: Tensor, labels: Tensor, training: Training, world: World, whole: int
) -> Tensor:
    """The mean loss of a batch; of a share of one, what makes the mean over all processes that.

    Args:
        logits: Of this process's share of the batch, shape (samples, classes).
        labels: Shape (samples,); there may be none, if the batch is smaller than the world.
        training: The recipe.
        world: The processes that share the batch; torch takes the mean of their gradients.
        whole: How many samples the batch has in all.
    """
    smoothing = training.label_smoothing
    if world.size == 1:
        return F.cross_entropy(logits, labels, label_smoothing=smoothing)
    total = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
    return total * world.size / whole


@torch.no_grad()
def correct(state: TrainingState, split: Source, training: Training) -> Tensor:
    """Which samples of this process's share of `split` are classified rightly, in their order.

    In evaluation mode and the recipe's autocast; bool, shape (samples,), still on the device.
    """
    device = state.workload.device
    network = state.network.eval()
    right = [torch.zeros(0, dtype=torch.bool, device=device)]  # a share may be empty
    with autocast(training.precision, device):
        for images, labels in split.in_order():
            right.append(network(images).argmax(dim=1) == labels)
    return torch.cat(right)


def accuracy(state: TrainingState, split: Source, training: Training) -> float:
    """Share of `split` classified rightly, 0 to 1, by all processes together."""
    return int(state.world.summed(correct(state, split, training).sum())) / len(split)
