"""Carrying out a phase: one function a word."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeVar

import torch

from harness.errors import RunError
from harness.method.phases import (
    Do,
    Finished,
    Freeze,
    Inspect,
    Mask,
    Moved,
    Phase,
    Recall,
    Record,
    Reinitialise,
    Resize,
    Rewind,
    Shrink,
    Shuffle,
    Snapshot,
    Train,
    Trained,
)
from harness.pruning.batch import Batch
from harness.pruning.cost import size_of
from harness.pruning.size import Size
from harness.pruning.weights import prune_weights
from harness.results.journal_writer import JournalWriter, SilentJournal
from harness.settings.settings import Training
from harness.training.ahead import step_ahead, window_of
from harness.training.compiling import never_silent
from harness.training.graphs import capture_ahead, refusal
from harness.training.loop import score, train_epoch
from harness.training.memory import fitting_part, is_out_of_memory
from harness.training.own_function import call
from harness.training.rewiring import alive_weights, shuffle_masks
from harness.training.skipping import refusal as cannot_skip
from harness.training.state import TrainingState, stream
from harness.workloads.workload import Workload

T = TypeVar("T")


@dataclass
class PhaseContext:
    """What a phase is carried out on.

    Attributes:
        workload: Data and model.
        training: The recipe.
        seed: The run's seed.
        state: What training changes.
        journal: Where borders and events go.
        recall: What the finished run of a method of this name, with the same seed, left.
        val_score: Of the network as it is, on the validation split; None while nothing has looked.
    """

    workload: Workload
    training: Training
    seed: int
    state: TrainingState
    journal: JournalWriter | SilentJournal
    recall: Callable[[str], Finished]
    val_score: float | None = None


SaveEpoch = Callable[[int], None]


def execute(phase: Phase, context: PhaseContext, first_epoch: int, save_epoch: SaveEpoch) -> Any:
    """Carry out one phase and return its answer.

    Args:
        phase: What to do.
        context: What to do it on.
        first_epoch: How many of the phase's epochs are done already.
        save_epoch: Called with the number of epochs done when a checkpoint is due before the
            phase's end.

    Raises:
        RunError: The phase cannot be carried out.
    """
    if isinstance(phase, Train):
        return _train(phase, context, first_epoch, save_epoch)
    if not phase.keeps_state:
        context.val_score = None
    context.journal.border(phase.window)
    return _do(phase, context)


def evaluate(context: PhaseContext) -> None:
    """Look at the network as it is with the validation split, in a window of its own."""
    make_first_steps(context, None)  # a method may end by changing the structure
    context.journal.border("evaluation")
    context.val_score = score(context.state, context.workload.validation, context.training)


def _train(phase: Train, context: PhaseContext, first_epoch: int, save_epoch: SaveEpoch) -> Trained:
    state, recipe = context.state, context.training
    refused = refusal(recipe, [phase], context.workload.device, state.world.size)
    refused = refused or cannot_skip(state.network, [phase], recipe, state.world.size)
    if refused:  # a phase that could not be foreseen before the run
        raise RunError(refused)
    if first_epoch == 0 and phase.start_epoch is not None:
        state.schedule_epoch = float(phase.start_epoch)
    snapshots = _Snapshots(phase, context, first_epoch)
    if first_epoch < phase.epochs:
        _guarded(phase, context, lambda: make_first_steps(context, phase))
    for epoch in range(first_epoch + 1, phase.epochs + 1):
        context.journal.border(phase.window)
        before = state.samples_trained
        loss: float | None = _train_epoch(phase, context, snapshots.within(epoch))
        if phase.select and state.samples_trained == before:
            loss = None  # none was chosen
        context.val_score = None
        is_last = epoch == phase.epochs
        if loss is not None and not math.isfinite(loss):
            raise RunError(f"the training loss became {loss} in epoch {epoch} of '{phase.name}'")
        if state.epochs_trained % recipe.evaluate_epochs == 0 or (is_last and phase.evaluate):
            evaluate(context)
        context.journal.event(
            "epoch",
            window=phase.window,
            epoch=epoch,
            of=phase.epochs,
            epochs_trained=state.epochs_trained,
            samples_trained=state.samples_trained,
            loss=loss,
            val_score=context.val_score,
        )
        if not is_last and checkpoint_is_due(context):
            save_epoch(epoch)
    if phase.evaluate and context.val_score is None:  # of a phase that trained nothing
        evaluate(context)
    return Trained(context.val_score if phase.evaluate else None)


def checkpoint_is_due(context: PhaseContext) -> bool:
    """Whether the epoch that was just trained is one to save after."""
    return context.state.epochs_trained % context.training.checkpoint_epochs == 0


def make_first_steps(context: PhaseContext, phase: Train | None) -> None:
    """Make the first steps of a new structure in windows of their own.

    Args:
        context: With the structure.
        phase: What it is to train; None if it is to be evaluated only.
    """
    state, recipe = context.state, context.training
    precision = (phase.precision or recipe.precision) if phase else None
    window = window_of(state, precision, recipe)
    if window:
        context.journal.border(window)
        step_ahead(state, precision, recipe)
    if phase and recipe.graphs:
        context.journal.border("capture")
        capture_ahead(state, phase, recipe)


class _Snapshots:
    """The snapshot of a phase of training, taken where it falls due.

    Steps count from the beginning of the epoch in which the phase begins, so that a phase resumed
    after any of its epochs counts as it did before.

    Raises:
        RunError: It does not fall into the phase.
    """

    def __init__(self, phase: Train, context: PhaseContext, first_epoch: int) -> None:
        self._phase, self._context = phase, context
        asked = phase.snapshot
        if asked is None:
            return
        self._steps = steps = len(context.workload.train.epoch(context.training.batch_size, 0))
        behind = 0 if first_epoch else round(context.state.schedule_epoch * steps) % steps
        if not phase.epochs or not behind <= asked.step <= phase.epochs * steps:
            already = f", {behind} of them behind it" if behind else ""
            raise RunError(
                f"'{phase.name}' has {phase.epochs} epochs of {steps} steps{already}, so no "
                f"snapshot can be taken after {asked.step}"
            )

    def within(self, epoch: int) -> tuple[int, Callable[[float], None]] | None:
        """After which step of an epoch (from 1) to take it, and how; None if it is not in it."""
        asked = self._phase.snapshot
        if asked is None:
            return None
        step = asked.step - (epoch - 1) * self._steps
        first = 0 if epoch == 1 else 1  # what falls on the end of an epoch belongs to it
        return (step, self._take) if first <= step <= self._steps else None

    def _take(self, place: float) -> None:
        journal, asked = self._context.journal, self._phase.snapshot
        if asked is not None:
            journal.border("snapshot")
            self._context.state.take_snapshot(asked.name, place)
            journal.border(self._phase.window)


def _train_epoch(
    phase: Train, context: PhaseContext, snapshot: tuple[int, Callable[[float], None]] | None
) -> float:
    """The mean loss of one epoch; the device has been waited for."""
    return _guarded(
        phase,
        context,
        lambda: float(train_epoch(context.state, phase, context.training, context.seed, snapshot)),
    )


def _guarded(phase: Train, context: PhaseContext, work: Callable[[], T]) -> T:
    """Do some work of a training phase; what a person can do about its errors becomes plain."""
    try:
        with never_silent():
            return work()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler, where nothing holds on to the tensors of the failed step any more.
    size = context.training.batch_size
    if context.state.world.size > 1:  # to try would take all of them
        raise RunError(f"'{phase.name}' ran out of memory at training.batch_size = {size}")
    fits = fitting_part(context.state, phase.precision, context.training)
    advice = "no batch size would fit"
    if fits:
        smaller, parts = fits * context.training.accumulate, -(-size // fits)
        advice = f"training.batch_size = {smaller} would fit, or training.accumulate = {parts}"
    raise RunError(f"'{phase.name}' ran out of memory at training.batch_size = {size}; {advice}")


@singledispatch
def _do(phase: Phase, _context: PhaseContext) -> Any:
    raise RunError(f"the harness does not know the phase {type(phase).__name__}")


def _seed(context: PhaseContext, purpose: str) -> int:
    """Seed torch for one purpose at this point of the run; the seed."""
    seed = stream(context.seed, purpose, context.state.epochs_trained)
    torch.manual_seed(seed)
    return seed


@_do.register
def _inspect(phase: Inspect, context: PhaseContext) -> Any:
    def look() -> Any:
        batch = context.workload.sample(phase.samples, _seed(context, "inspect"))
        return phase.question(context.state.network, batch)

    return context.state.world.broadcast_object(look)


@_do.register
def _own(phase: Do, context: PhaseContext) -> Any:
    def work() -> Any:
        samples = phase.samples or context.training.batch_size
        batch = context.workload.sample(samples, _seed(context, f"do {phase.name}"))
        return call(phase.name, phase.function, context.state.network, batch)

    answer = context.state.world.broadcast_object(work)
    context.state.follow_weights()
    return answer


@_do.register
def _freeze(phase: Freeze, context: PhaseContext) -> int:
    return context.state.freeze(phase.names, statistics=phase.statistics)


@_do.register
def _resize(phase: Resize, context: PhaseContext) -> Size:
    state, example = context.state, context.workload.example
    if example.ndim != 4:
        raise RunError("Resize: the samples are no images")
    side = phase.side(min(example.shape[-2:]))
    state.resize(side)
    image = state.resized(Batch(example, example)).inputs
    try:
        size = size_of(state.network, image, state.masks)
    except Exception as error:  # of whatever kind a model raises
        model, pixels = context.workload.choice.model, " × ".join(map(str, image.shape[-2:]))
        raise RunError(f"Resize: {model} does not take images of {pixels}: {error}") from error
    context.journal.event("resolution", image_size=side, macs=size.macs)
    return size


@_do.register
def _shrink(phase: Shrink, context: PhaseContext) -> Size:
    context.state.shrink(phase.mask)
    return _resized(context)


@_do.register
def _mask(phase: Mask, context: PhaseContext) -> Size:
    if context.state.world.is_first:
        _prune(phase, context)
    context.state.agree_on_masks()
    return _resized(context)


def _prune(phase: Mask, context: PhaseContext) -> None:
    state = context.state
    seed = _seed(context, "mask")
    alive = None
    for step in range(1, phase.iterations + 1):
        samples = phase.samples or context.training.batch_size
        batch = context.workload.sample(samples, stream(seed, step))
        scores = phase.score(copy.deepcopy(state.network), batch)
        now = alive_weights(scores, state.masks)
        if not now:
            raise RunError(f"{context.workload.choice.model} has no prunable weights")
        alive = now if alive is None else alive
        target = round(alive * (1 - phase.fraction) ** (step / phase.iterations))
        state.masks = prune_weights(scores, state.masks, 1 - target / now)
        state.apply_masks()


@_do.register
def _shuffle(_phase: Shuffle, context: PhaseContext) -> Size:
    if context.state.world.is_first:
        _seed(context, "shuffle")
        context.state.masks = shuffle_masks(context.state.masks)
    context.state.agree_on_masks()
    return _resized(context)


@_do.register
def _recall(phase: Recall, context: PhaseContext) -> Finished:
    return context.recall(phase.method)


@_do.register
def _snapshot(phase: Snapshot, context: PhaseContext) -> None:
    context.state.take_snapshot(phase.name)


@_do.register
def _moved(phase: Moved, context: PhaseContext) -> float:
    return context.state.moved_since(phase.name)


@_do.register
def _rewind(phase: Rewind, context: PhaseContext) -> float:
    context.state.rewind(phase.name)
    return context.state.schedule_epoch


@_do.register
def _reinitialise(_phase: Reinitialise, context: PhaseContext) -> None:
    context.state.reinitialise(draw=context.state.epochs_trained)


@_do.register
def _record(phase: Record, context: PhaseContext) -> None:
    context.journal.event("record", facts=phase.facts)


def _resized(context: PhaseContext) -> Size:
    state = context.state
    size = size_of(state.network, context.workload.example, state.masks)
    context.journal.event("size", **dataclasses.asdict(size))
    return size
