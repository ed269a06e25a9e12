"""Carrying out a phase: one function a word."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from harness.errors import RunError
from harness.phases import (
    Inspect,
    Mask,
    Phase,
    Record,
    Reinitialise,
    Rewind,
    Shrink,
    Size,
    Snapshot,
    Train,
    Trained,
)
from harness.pruning.cost import size_of
from harness.pruning.weights import prune_weights
from harness.results.journal_writer import JournalWriter
from harness.settings import Training
from harness.training.loop import accuracy, train_epoch
from harness.training.state import TrainingState
from harness.workloads.workload import Workload


@dataclass
class Bench:
    """What a phase is carried out on.

    Attributes:
        workload: Data and model.
        training: The recipe.
        seed: The run's seed.
        state: What training changes.
        journal: Where borders and events go.
    """

    workload: Workload
    training: Training
    seed: int
    state: TrainingState
    journal: JournalWriter


SaveEpoch = Callable[[int], None]


def execute(phase: Phase, bench: Bench, first_epoch: int, save_epoch: SaveEpoch) -> Any:
    """Carry out one phase and return its answer.

    Args:
        phase: What to do.
        bench: What to do it on.
        first_epoch: How many of the phase's epochs are done already.
        save_epoch: Called with the number of epochs done when a checkpoint is due within a phase.

    Raises:
        RunError: The phase cannot be carried out.
    """
    if isinstance(phase, Train):
        return _train(phase, bench, first_epoch, save_epoch)
    bench.journal.border(phase.window)
    return _do(phase, bench)


def _train(phase: Train, bench: Bench, first_epoch: int, save_epoch: SaveEpoch) -> Trained:
    state, recipe = bench.state, bench.training
    val_accuracy = None
    if first_epoch == 0 and phase.start_epoch is not None:
        state.schedule_epoch = float(phase.start_epoch)
    for epoch in range(first_epoch + 1, phase.epochs + 1):
        bench.journal.border(phase.window)
        loss = train_epoch(state, phase, recipe, bench.seed)
        is_last = epoch == phase.epochs
        if is_last or epoch % recipe.evaluate_epochs == 0:
            bench.journal.border("evaluation")
            _check_finite(float(loss), phase, epoch)
            val_accuracy = accuracy(state, bench.workload.validation)
            bench.journal.event(
                "epoch",
                window=phase.window,
                epoch=epoch,
                of=phase.epochs,
                epochs_trained=state.epochs_trained,
                loss=float(loss),
                val_accuracy=val_accuracy,
            )
        if not is_last and epoch % recipe.checkpoint_epochs == 0:
            save_epoch(epoch)
    return Trained(val_accuracy)


def _check_finite(loss: float, phase: Train, epoch: int) -> None:
    if not math.isfinite(loss):
        raise RunError(f"the training loss became {loss} in epoch {epoch} of '{phase.name}'")


@singledispatch
def _do(phase: Phase, _bench: Bench) -> Any:
    raise RunError(f"the harness does not know the phase {type(phase).__name__}")


@_do.register
def _inspect(phase: Inspect, bench: Bench) -> Any:
    return phase.question(bench.state.network, bench.workload.example)


@_do.register
def _shrink(phase: Shrink, bench: Bench) -> Size:
    bench.state.shrink(phase.mask)
    return _resized(bench)


@_do.register
def _mask(phase: Mask, bench: Bench) -> Size:
    state = bench.state
    batch, _ = next(iter(bench.workload.train.in_order(bench.training.batch_size)))
    scores = phase.score(state.network, batch)
    state.masks = prune_weights(scores, state.masks, phase.fraction)
    state.apply_masks()
    return _resized(bench)


@_do.register
def _snapshot(phase: Snapshot, bench: Bench) -> None:
    bench.state.take_snapshot(phase.name)


@_do.register
def _rewind(phase: Rewind, bench: Bench) -> None:
    bench.state.rewind(phase.name)


@_do.register
def _reinitialise(_phase: Reinitialise, bench: Bench) -> None:
    bench.state.reinitialise(draw=bench.state.epochs_trained)


@_do.register
def _record(phase: Record, bench: Bench) -> None:
    bench.journal.event("record", facts=phase.facts)


def _resized(bench: Bench) -> Size:
    state = bench.state
    size = size_of(state.network, bench.workload.example, state.masks)
    bench.journal.event("size", **dataclasses.asdict(size))
    return size
