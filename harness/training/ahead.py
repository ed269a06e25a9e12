"""First steps of a network, made ahead of its training so that their energy has its own window.

The first time that a structure steps, torch compiles it, and cuDNN tries its algorithms for every
size of batch. A method that changes the structure pays for that again each time; charged to
training, it would be charged to whatever epoch came next.
"""

from __future__ import annotations

import torch

from harness.settings.settings import Training
from harness.settings.types import Precision
from harness.training.compiling import first_steps
from harness.training.device import searches_algorithms
from harness.training.precision import autocast
from harness.training.state import Structure, TrainingState
from harness.training.step import mean_loss, parts_in
from harness.workloads.source import evaluation_batch_size, samples_of_epoch, sizes_of_batches

COMPILE = "compile"
AUTOTUNE = "autotune"
EVALUATION = "evaluation"


def window_of(state: TrainingState, precision: Precision | None, training: Training) -> str | None:
    """The window of the first steps that are still to be made; None if none are, as on a CPU.

    Args:
        state: With the structure to step.
        precision: What it is to train in; None if it is to be evaluated only.
        training: The recipe.
    """
    if training.compile and precision and not state.has_forward(precision):
        return COMPILE
    return AUTOTUNE if _missing(state, precision) else None


def step_ahead(state: TrainingState, precision: Precision | None, training: Training) -> None:
    """Step with each size of batch to come; the state and random numbers stay as they were."""
    device = state.workload.device
    missing = _missing(state, precision)
    is_new = training.compile and precision and not state.has_forward(precision)
    statistics = [buffer.clone() for buffer in state.network.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if precision and (is_new or precision in missing):
            _train(state, precision, training)
        if EVALUATION in missing:
            _evaluate(state, training)
    with torch.no_grad():
        for buffer, before in zip(state.network.buffers(), statistics, strict=True):
            buffer.copy_(before)
    state.stepped.setdefault(_structure(state), set()).update(missing)


def _missing(state: TrainingState, precision: Precision | None) -> set[str]:
    """For what the device has not yet chosen its algorithms, in this structure."""
    if not searches_algorithms(state.workload.device):
        return set()
    kinds = {EVALUATION, precision} if precision else {EVALUATION}
    return kinds - state.stepped.get(_structure(state), set())


def _structure(state: TrainingState) -> Structure:
    return tuple(tuple(weight.shape) for weight in state.network.parameters())


def _train(state: TrainingState, precision: Precision, training: Training) -> None:
    source = state.workload.train
    network = state.in_training(precision)
    samples = samples_of_epoch(len(source), training.batch_size)
    for whole in sizes_of_batches(samples, training.batch_size):
        share = state.resized(source.sample(state.world.part.size(whole), seed=0))
        for inputs, targets in parts_in(share, whole, training):
            for _ in range(first_steps(training.compile)):
                with autocast(precision, state.workload.device):
                    loss = mean_loss(network(inputs), targets, state, training, whole)
                loss.backward()  # type: ignore[no-untyped-call]
                state.optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def _evaluate(state: TrainingState, training: Training) -> None:
    workload, part = state.workload, state.world.part
    largest = evaluation_batch_size(workload.example)
    sizes: set[int] = set()
    for split in (workload.validation, workload.test):
        own = part.among(len(split))
        sizes |= sizes_of_batches(own.stop - own.start, largest)
    network = state.network.eval()
    with autocast(training.precision, workload.device):
        for size in sizes:
            # The test set is looked at once, at the end: training samples have the same shape.
            network(workload.train.sample(size, seed=0).inputs)
