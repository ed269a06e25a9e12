"""Compiling the network before it trains, so that the energy of it has a window of its own."""

from __future__ import annotations

import torch

from harness.quantities import Precision
from harness.settings import Training
from harness.training.precision import autocast
from harness.training.state import TrainingState
from harness.training.step import mean_loss


def compile_ahead(state: TrainingState, precision: Precision, training: Training) -> None:
    """Run one training step of each batch size that an epoch has; the state stays as it was."""
    source, device = state.workload.train, state.workload.device
    network = state.forward(precision).train()
    state.network.train()
    statistics = [buffer.clone() for buffer in state.network.buffers()]
    full = min(training.batch_size, len(source))
    for whole in {full, len(source) % full or full}:
        images, labels = source.sample(state.world.part.size(whole), seed=0)
        with autocast(precision, device):
            loss = mean_loss(network(images), labels, training, state.world, whole)
        loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        for buffer, before in zip(state.network.buffers(), statistics, strict=True):
            buffer.copy_(before)
