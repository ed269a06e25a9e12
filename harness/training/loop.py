"""The one training loop that every method shares, and the one evaluation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.batch_norm import gamma, scaled_batch_norms
from harness.phases import Train
from harness.settings import Training
from harness.training.schedule import rate_share
from harness.training.seeds import stream
from harness.training.state import TrainingState
from harness.workloads.split import Split


def train_epoch(state: TrainingState, phase: Train, training: Training, seed: int) -> Tensor:
    """Train one epoch; nothing in it waits for the device.

    Args:
        state: Changed in place.
        phase: For its schedule and its penalty.
        training: The recipe.
        seed: The run's seed; order and augmentation follow from it and the number of the epoch.

    Returns:
        The mean training loss, a scalar still on the device.
    """
    workload = state.workload
    device = workload.device
    epoch_seed = stream(seed, "epoch", state.epochs_trained)
    torch.manual_seed(epoch_seed)
    generator = torch.Generator(device).manual_seed(epoch_seed)
    horizon = phase.horizon or training.epochs
    network = state.network.train()
    scales = list(map(gamma, scaled_batch_norms(network).values())) if phase.l1_gamma else []
    batches = workload.train.batches(training.batch_size, generator)
    first = state.schedule_epoch
    total = torch.zeros((), device=device)
    for step, (raw_images, labels) in enumerate(batches):
        share = phase.rate or rate_share(training, first + step / len(batches), horizon)
        for group in state.optimizer.param_groups:
            group["lr"] = training.learning_rate * share
        images = workload.augment(raw_images, generator)
        loss = F.cross_entropy(network(images), labels, label_smoothing=training.label_smoothing)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for scale in scales:
            scale.grad.add_(scale.detach().sign(), alpha=phase.l1_gamma)  # type: ignore[union-attr]
        state.optimizer.step()
        state.apply_masks()
        total += loss.detach()
    state.schedule_epoch = first + 1
    state.epochs_trained += 1
    return total / len(batches)


@torch.no_grad()
def accuracy(state: TrainingState, split: Split) -> float:
    """Share of `split` classified rightly, 0 to 1, in evaluation mode."""
    network = state.network.eval()
    right = sum(
        (network(images).argmax(dim=1) == labels).sum() for images, labels in split.in_order()
    )
    return float(right) / len(split)
