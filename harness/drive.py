"""Drives one method: asks its generator for phases, has them carried out, resumes by replay."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

from harness.errors import RunError
from harness.execute import Bench, execute
from harness.method import Method
from harness.phases import Budget, Phase
from harness.plan import MOST_PHASES
from harness.pruning.cost import size_of
from harness.results.final_test import facts_of_test
from harness.results.folder import RunFolder
from harness.results.journal import OVERHEAD, TEST, Journal
from harness.training.checkpoint import Checkpoint
from harness.training.loop import accuracy, correct


def drive(method: Method, bench: Bench, folder: RunFolder, start: Checkpoint | None) -> None:
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
    number = start.number if start else 0

    def save(phase: int, epoch: int) -> None:
        nonlocal number
        number += 1
        bench.journal.border("checkpoint")
        if bench.state.world.is_first:
            Checkpoint(number, phase, epoch, bench.state.state_dict()).save(folder.checkpoint)
        bench.journal.event("checkpoint", durable=True, number=number, phase=phase, epoch=epoch)

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
        if index == MOST_PHASES:
            raise RunError(f"the method asked for more than {MOST_PHASES} phases")
        try:
            phase = generator.send(answer)
        except StopIteration:
            break
        if not isinstance(phase, Phase):
            raise RunError(f"the method yielded {phase!r}, which is not a phase")
        bench.journal.border(OVERHEAD)
        if index < first_phase:
            encoded = _replayed(index, phase, answers)
        else:
            encoded = _carried_out(index, phase, bench, first_epoch, save)
            first_epoch = 0
        answer = phase.decode(encoded)
    _finish(bench)


def _replayed(index: int, phase: Phase, answers: dict[int, dict[str, Any]]) -> Any:
    if index not in answers:
        raise RunError(f"the journal has lost the answer to phase {index}")
    said = answers[index]
    if said["description"] != phase.describe():
        raise RunError(
            f"on resuming, phase {index} of the method is {phase.describe()}, "
            f"but it was {said['description']}: its phases must follow from its answers alone"
        )
    return said["answer"]


def _carried_out(index: int, phase: Phase, bench: Bench, first_epoch: int, save: Any) -> Any:
    bench.journal.event("phase", phase=index, window=phase.window, kind=type(phase).__name__)
    answer = execute(phase, bench, first_epoch, lambda epoch: save(index, epoch))
    encoded = phase.encode(answer)
    try:
        bench.journal.event(
            "answer", durable=True, phase=index, description=phase.describe(), answer=encoded
        )
    except (TypeError, ValueError) as error:
        raise RunError(
            f"phase {index}, {type(phase).__name__}: it and its answer must be plain JSON: {error}"
        ) from error
    if not phase.keeps_state:
        save(index + 1, 0)
    return encoded


def _finish(bench: Bench) -> None:
    """The one look at the test set, and what is left of the network."""
    state = bench.state
    bench.journal.border(TEST)
    right = correct(state, bench.workload.test, bench.training)
    # Shares are consecutive, so that one after the other they are the order of the test set.
    shares = state.world.gathered([right.cpu().numpy().tobytes()])
    bench.journal.border("evaluation")
    val_accuracy = accuracy(state, bench.workload.validation, bench.training)
    bench.journal.border(OVERHEAD)
    size = size_of(state.network, bench.workload.example, state.masks)
    bench.journal.event(
        "result",
        **facts_of_test(b"".join(shares)),
        val_accuracy=val_accuracy,
        parameters=size.parameters,
        macs=size.macs,
        density=size.density,
        uncounted=size.uncounted,
        epochs_trained=state.epochs_trained,
    )
