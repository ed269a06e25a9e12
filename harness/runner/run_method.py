"""Drives one method: asks its generator for phases, has them carried out, resumes by replay.

Checkpoints and evaluations come at a fixed interval in epochs of the run, however a method cuts its
work into phases; so a resumed run repeats the phases since its checkpoint, each of which follows
from the state and the seed. The end of a run is always evaluated and saved.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

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
from harness.training.loop import correct


def run_method(
    method: Method, bench: PhaseContext, folder: RunFolder, start: Checkpoint | None
) -> None:
    """Run a method to its end, from `start` on.

    A resumed method runs again from the top; phases that are done receive their journaled answers.

    Args:
        method: Yields phases.
        bench: Network, data and journal.
        folder: Where checkpoints go and journaled answers come from.
        start: The newest checkpoint, its state already loaded; None starts from scratch.

    Raises:
        RunError: The method breaks its word, or training cannot go on.
    """
    answers = Journal(folder).answers()
    first_phase, first_epoch = (start.phase, start.epoch) if start else (0, 0)
    bench.val_accuracy = start.val_accuracy if start else None
    saved = _Saved(bench, folder, start)
    last_training: Train | None = None
    if start is None:
        dense = size_of(bench.state.network, bench.workload.example, {})
        bench.journal.event(
            "dense", parameters=dense.parameters, macs=dense.macs, uncounted=dense.uncounted
        )
    generator = method.phases(Budget(epochs=bench.training.epochs))
    if not isinstance(generator, Generator):
        raise RunError(f"phases must yield; it returned a {type(generator).__name__}")
    answer: Any = None
    for index in itertools.count():
        phase = _next(generator, answer, index)
        if phase is None:
            break
        bench.journal.border(OVERHEAD)
        if isinstance(phase, Train) and phase.epochs:
            last_training = phase
        if index < first_phase:
            encoded = _replayed(index, phase, answers)
        else:
            encoded = _carried_out(index, phase, bench, first_epoch, saved)
            first_epoch = 0
        answer = phase.decode(encoded)
    if bench.val_accuracy is None:
        _evaluate_the_end(bench, last_training)
    if not saved.is_newest:
        saved.save(index, 0)
    _finish(bench)


class _Saved:
    """The run's newest checkpoint.

    Attributes:
        is_newest: Whether nothing has changed the network since.
    """

    def __init__(self, bench: PhaseContext, folder: RunFolder, start: Checkpoint | None) -> None:
        self._bench = bench
        self._file = folder.checkpoint
        self._number = start.number if start else 0
        self.is_newest = start is not None

    def save(self, phase: int, epoch: int) -> None:
        """Replace it by the state of now, which resumes in `phase` after `epoch` of it."""
        bench = self._bench
        self._number += 1
        self.is_newest = True
        bench.journal.border("checkpoint")
        if bench.state.world.is_first:
            state = bench.state.state_dict()
            Checkpoint(self._number, phase, epoch, state, bench.val_accuracy).save(self._file)
        bench.journal.event(
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
        raise RunError(f"the journal has lost the answer to phase {index}")
    said = answers[index]
    if not phase.is_described_by(said["description"]):
        raise RunError(
            f"on resuming, phase {index} of the method is {phase.describe()}, "
            f"but it was {said['description']}: a method's phases must be a deterministic function "
            "of its answers"
        )
    return said["answer"]


def _carried_out(
    index: int, phase: Phase, bench: PhaseContext, first_epoch: int, saved: _Saved
) -> Any:
    name = _snapshot_of(phase)
    if name is not None and bench.state.has_snapshot(name) and not saved.is_newest:
        # A run that resumed before the other one's `Rewind` would find this one.
        saved.save(index, 0)
    bench.journal.event("phase", phase=index, window=phase.window, kind=type(phase).__name__)
    answer = execute(phase, bench, first_epoch, lambda epoch: saved.save(index, epoch))
    saved.is_newest = saved.is_newest and phase.keeps_state
    encoded = phase.encode(answer)
    try:
        bench.journal.event(
            "answer", durable=True, phase=index, description=phase.describe(), answer=encoded
        )
    except (TypeError, ValueError) as error:
        raise RunError(
            f"phase {index}, {type(phase).__name__}: it and its answer must be plain JSON: {error}"
        ) from error
    if isinstance(phase, Train) and phase.epochs and checkpoint_is_due(bench):
        saved.save(index + 1, 0)
    return encoded


def _snapshot_of(phase: Phase) -> str | None:
    """The name of the snapshot that a phase takes, if it takes one."""
    if isinstance(phase, Snapshot):
        return phase.name
    return phase.snapshot.name if isinstance(phase, Train) and phase.snapshot else None


def _evaluate_the_end(bench: PhaseContext, last: Train | None) -> None:
    evaluate(bench)
    if last is not None:
        bench.journal.event(
            "epoch",
            window=last.window,
            epoch=last.epochs,
            of=last.epochs,
            epochs_trained=bench.state.epochs_trained,
            val_accuracy=bench.val_accuracy,
        )


def _finish(bench: PhaseContext) -> None:
    """The one look at the test set, and what is left of the network."""
    state = bench.state
    make_first_steps(bench, None)
    bench.journal.border(TEST)
    right = correct(state, bench.workload.test, bench.training)
    # Shares are consecutive, so that one after the other they are the order of the test set.
    shares = state.world.all_gather([right.cpu().numpy().tobytes()])
    bench.journal.border(OVERHEAD)
    size = size_of(state.network, bench.workload.example, state.masks)
    bench.journal.event(
        "result",
        **facts_of_test(b"".join(shares)),
        val_accuracy=bench.val_accuracy,
        parameters=size.parameters,
        macs=size.macs,
        density=size.density,
        uncounted=size.uncounted,
        epochs_trained=state.epochs_trained,
    )
