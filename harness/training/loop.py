"""The training loop that every method shares, its learning-rate schedules, and the evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from harness.method.phases import Train
from harness.pruning.batch import output_of
from harness.settings.settings import Training
from harness.training.graphs import GraphedStep, graphed
from harness.training.precision import autocast
from harness.training.rewiring import Rewiring
from harness.training.selection import Selection
from harness.training.skipping import Skipping, blocks_of
from harness.training.state import TrainingState, stream
from harness.training.step import Step, batches_counted_at_the_end, parts_of
from harness.workloads.source import Source
from harness.workloads.task import Measure


def train_epoch(
    state: TrainingState,
    phase: Train,
    training: Training,
    seed: int,
    snapshot: tuple[int, Callable[[float], None]] | None = None,
) -> Tensor:
    """Train one epoch, or what is left of it; nothing in it waits for the device.

    Args:
        state: Changed in place.
        phase: For its schedule, its penalties, its arithmetic, its rewiring and its choice.
        training: The recipe.
        seed: The run's seed; order and augmentation follow from it and the number of the epoch.
        snapshot: After which step of the epoch to call a function with the place on the schedule,
            and that function; it may wait for the device.

    Returns:
        The mean training loss, a scalar still on the device; nan of an epoch without a step.
    """
    epoch_seed = stream(seed, "epoch", state.epochs_trained)
    torch.manual_seed(epoch_seed + state.world.part.rank)  # each draws its own for its samples
    selection = Selection(state, phase, training, seed) if phase.select else None
    source, choose = state.workload.train, selection.choose if selection else None
    batches = source.epoch(training.batch_size, epoch_seed, choose)
    state.group_by(phase.rates)
    network = state.forward(phase.precision or training.precision)
    step = graphed(state, phase, training) if training.graphs else Step(state, phase, training)
    step.total.zero_()
    rewiring = Rewiring(state, phase.rewire, len(batches)) if phase.rewire else None
    skipping = Skipping(phase.skip, blocks_of(network)) if phase.skip else None
    samples = selection.samples if selection else len(source)
    steps = len(batches)
    if selection:  # its epochs are whole, and may have no step at all
        begun, done = math.floor(state.schedule_epoch), 0
        numbered = selection.ready(batches)
    else:
        begun, done = divmod(round(state.schedule_epoch * steps), steps)
        numbered = enumerate(batches)
    first = done

    def whole(number: int) -> int:
        return min(training.batch_size, samples - number * training.batch_size)

    for last, take in [*([snapshot] if snapshot else []), (steps, None)]:
        # Cut at the snapshot, which holds the count of batches.
        passes = sum(
            parts_of(whole(number), training) for number in range(first - done, last - done)
        )
        foreseen = not (selection and selection.looks)
        with (
            batches_counted_at_the_end(network, passes) if foreseen else nullcontext(),
            skipping.installed() if skipping else nullcontext(),
        ):
            # A whole epoch is not cut short: a pilot's lasts as long as there is time.
            for number, batch in islice(numbered, last - first if done or take else None):
                place = begun + (done + number) / steps
                rate = _set_rates(state, phase, training, place)
                if isinstance(step, GraphedStep):
                    step.read_rate(rate)
                if skipping:
                    skipping.begin(place)
                due = rewiring is not None and rewiring.is_due(number)
                move = partial(rewiring.move, number) if rewiring and due else None
                step(state.resized(batch), whole(number), move)
        if take:
            take(begun + last / steps)
        first = last
    state.schedule_epoch = begun + 1.0
    state.epochs_trained += 1
    if selection:
        state.samples_trained += selection.samples_trained
        return step.total / selection.steps
    state.samples_trained += sum(map(whole, range(steps - done)))
    return state.world.all_reduce(step.total.clone()) / state.world.size / (steps - done)


def _set_rates(state: TrainingState, phase: Train, training: Training, place: float) -> float:
    """Set the learning rates of the next step; the recipe's, which layers may not have."""
    horizon = phase.horizon or training.epochs
    rate = training.learning_rate * (phase.rate or rate_share(training, place, horizon))
    for group in state.optimizer.param_groups:
        layer = group["layer"]
        own = None if layer is None else phase.rates[layer]
        group["lr"] = training.learning_rate * own.share(place) if own else rate
    return rate


@torch.no_grad()
def measured(
    state: TrainingState, split: Source, training: Training, *measures: Measure
) -> list[Tensor]:
    """What each function finds for this process's share of `split`, in the order of its samples.

    In evaluation mode, in the recipe's autocast and with averaged weights where it has them.

    Returns:
        By function: float32, shape (samples,), still on the device.
    """
    device = state.workload.device
    network = state.for_evaluation()
    found = [[torch.zeros(0, device=device)] for _ in measures]  # a share may be empty
    with autocast(training.precision, device):
        for inputs, targets in split.in_order():
            outputs = output_of(network(inputs))
            for each, measure in zip(found, measures, strict=True):
                each.append(measure(outputs, targets).float())
    return [torch.cat(each) for each in found]


def score(state: TrainingState, split: Source, training: Training) -> float:
    """The task's score on `split`, by all processes together."""
    [own] = measured(state, split, training, state.workload.task.scores)
    # Apple's GPUs have no float64.
    total = own.sum(dtype=torch.float32 if own.device.type == "mps" else torch.float64)
    return float(state.world.all_reduce(total)) / len(split)


_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START / 1e4


def rate_share(training: Training, epoch: float, horizon: float) -> float:
    """The learning rate as a share of the recipe's, after `epoch` of `horizon` epochs.

    `epoch` is fractional: the rate changes with every step. Warm-up is linear from zero; "step"
    multiplies by `decay` at each milestone (a share of the horizon); "cosine" falls to zero
    (Loshchilov & Hutter, 2017); "one_cycle" rises from a 25th to the full rate at `peak` and falls
    to nearly nothing, both along a cosine (Smith & Topin, 2018, with PyTorch's numbers);
    "constant" stays.
    """
    if epoch < training.warmup_epochs:
        return epoch / training.warmup_epochs
    progress = min(epoch / horizon, 1.0)
    match training.schedule:
        case "cosine":
            return _between(1.0, 0.0, progress)
        case "step":
            return training.decay ** sum(progress >= share for share in training.milestones)
        case "one_cycle" if progress < training.peak:
            return _between(_ONE_CYCLE_START, 1.0, progress / training.peak)
        case "one_cycle":
            return _between(1.0, _ONE_CYCLE_END, (progress - training.peak) / (1 - training.peak))
        case "constant":
            return 1.0


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
