"""Running one method: asks its generator for phases, executes them, resumes by replay.

Checkpoints and evaluations come at a fixed interval in epochs of the run, however a method cuts its
work into phases; so a resumed run repeats the phases since its checkpoint, each of which follows
from the state and the seed. The end of a run is always evaluated and saved.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

import numpy as np

from harness.errors import RunError
from harness.method.base import Method
from harness.method.dry_run import MAX_PHASES
from harness.method.phases import Budget, Phase, Snapshot, Train
from harness.pruning.cost import size_of
from harness.results.final_test import facts_of_test
from harness.results.folder import RunFolder
from harness.results.journal import OVERHEAD, TEST, Journal
from harness.runner.phase_executor import (
    PhaseContext,
    checkpoint_is_due,
    evaluate,
    execute,
    make_first_steps,
)
from harness.training.checkpoint import Checkpoint
from harness.training.loop import measured


def run_method(
    method: Method, context: PhaseContext, folder: RunFolder, start: Checkpoint | None
) -> None:
    """Run a method to its end, from `start` on.

    A resumed method runs again from the top; phases that are done receive their journaled answers.

    Args:
        method: Yields phases.
        context: Network, data and journal.
        folder: Where checkpoints go and journaled answers come from.
        start: The newest checkpoint, its state already loaded; None starts from scratch.

    Raises:
        RunError: The method violates the method contract, or training cannot continue.
    """
    answers = Journal(folder).answers()
    first_phase, first_epoch = (start.phase, start.epoch) if start else (0, 0)
    context.val_score = start.val_score if start else None
    saved = _Saved(context, folder, start)
    last_training: Train | None = None
    if start is None:
        context.journal.event("metric", **context.workload.task.metric.to_json())
        dense = size_of(context.state.network, context.workload.example, {})
        context.journal.event(
            "dense", parameters=dense.parameters, macs=dense.macs, uncounted=dense.uncounted
        )
    generator = method.phases(Budget(epochs=context.training.epochs))
    if not isinstance(generator, Generator):
        raise RunError(f"phases must yield; it returned a {type(generator).__name__}")
    answer: Any = None
    for index in itertools.count():
        phase = _next(generator, answer, index)
        if phase is None:
            break
        context.journal.border(OVERHEAD)
        if isinstance(phase, Train) and phase.epochs:
            last_training = phase
        if index < first_phase:
            encoded = _replayed(index, phase, answers)
        else:
            encoded = _carried_out(index, phase, context, first_epoch, saved)
            first_epoch = 0
        answer = phase.decode(encoded)
    if context.val_score is None:
        _evaluate_the_end(context, last_training)
    if not saved.is_newest:
        saved.save(index, 0)
    _finish(context)


class _Saved:
    """The run's newest checkpoint.

    Attributes:
        is_newest: Whether nothing has changed the network since.
    """

    def __init__(self, context: PhaseContext, folder: RunFolder, start: Checkpoint | None) -> None:
        self._context = context
        self._file = folder.checkpoint
        self._number = start.number if start else 0
        self.is_newest = start is not None

    def save(self, phase: int, epoch: int) -> None:
        """Replace it by the state of now, which resumes in `phase` after `epoch` of it."""
        context = self._context
        self._number += 1
        self.is_newest = True
        context.journal.border("checkpoint")
        if context.state.world.is_first:
            state = context.state.state_dict()
            Checkpoint(self._number, phase, epoch, state, context.val_score).save(self._file)
        context.journal.event(
            "checkpoint", durable=True, number=self._number, phase=phase, epoch=epoch
        )


def _next(generator: Generator[Phase, Any, None], answer: Any, index: int) -> Phase | None:
    """What the method asks for next; None at its end."""
    if index == MAX_PHASES:
        raise RunError(f"the method asked for more than {MAX_PHASES} phases")
    try:
        phase = generator.send(answer)
    except StopIteration:
        return None
    if not isinstance(phase, Phase):
        raise RunError(f"the method yielded {phase!r}, which is not a phase")
    return phase


def _replayed(index: int, phase: Phase, answers: dict[int, dict[str, Any]]) -> Any:
    if index not in answers:
        raise RunError(f"the journal has no answer to phase {index}")
    recorded = answers[index]
    if not phase.is_described_by(recorded["description"]):
        raise RunError(
            f"on resuming, phase {index} of the method is {phase.describe()}, "
            f"but it was {recorded['description']}: a method's phases must be a deterministic "
            "function of its answers"
        )
    return recorded["answer"]


def _carried_out(
    index: int, phase: Phase, context: PhaseContext, first_epoch: int, saved: _Saved
) -> Any:
    name = _snapshot_of(phase)
    if name is not None and context.state.has_snapshot(name) and not saved.is_newest:
        # A run that resumed before the other one's `Rewind` would find this one.
        saved.save(index, 0)
    context.journal.event("phase", phase=index, window=phase.window, kind=type(phase).__name__)
    answer = execute(phase, context, first_epoch, lambda epoch: saved.save(index, epoch))
    saved.is_newest = saved.is_newest and phase.keeps_state
    encoded = phase.encode(answer)
    try:
        context.journal.event(
            "answer", durable=True, phase=index, description=phase.describe(), answer=encoded
        )
    except (TypeError, ValueError) as error:
        raise RunError(
            f"phase {index}, {type(phase).__name__}: it and its answer must be plain JSON: {error}"
        ) from error
    has_trained = isinstance(phase, Train) and phase.epochs > 0
    if phase.is_saved or (has_trained and checkpoint_is_due(context)):
        saved.save(index + 1, 0)
    return encoded


def _snapshot_of(phase: Phase) -> str | None:
    """The name of the snapshot that a phase takes, if it takes one."""
    if isinstance(phase, Snapshot):
        return phase.name
    return phase.snapshot.name if isinstance(phase, Train) and phase.snapshot else None


def _evaluate_the_end(context: PhaseContext, last: Train | None) -> None:
    evaluate(context)
    if last is not None:
        context.journal.event(
            "epoch",
            window=last.window,
            epoch=last.epochs,
            of=last.epochs,
            epochs_trained=context.state.epochs_trained,
            val_score=context.val_score,
        )


def _finish(context: PhaseContext) -> None:
    """The one look at the test set, and what is left of the network."""
    state = context.state
    state.finish()
    make_first_steps(context, None)
    context.journal.border(TEST)
    task = context.workload.task
    found = measured(
        state, context.workload.test, context.training, task.scores, *task.facts.values()
    )
    # Shares are consecutive, so that one after the other they are the order of the test set.
    shares = state.world.all_gather([[each.cpu().numpy() for each in found]])
    scores, *others = (np.concatenate(parts) for parts in zip(*shares, strict=True))
    context.journal.border(OVERHEAD)
    facts = {f"test_{name}": float(x.mean()) for name, x in zip(task.facts, others, strict=True)}
    if facts:
        context.journal.event("record", facts=facts)
    size = size_of(state.network, context.workload.example, state.masks)
    context.journal.event(
        "result",
        **facts_of_test(scores),
        val_score=context.val_score,
        parameters=size.parameters,
        macs=size.macs,
        density=size.density,
        uncounted=size.uncounted,
        epochs_trained=state.epochs_trained,
        samples_trained=state.samples_trained,
    )
