"""Dry run: the phases that a method yields, with dummy answers instead of a network."""

from __future__ import annotations

import itertools
import math
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.errors import UsageError
from harness.method.base import Method
from harness.method.phases import Budget, Phase, Reinitialise, Rewind, Snapshot, Train
from harness.pruning.channel_mask import ChannelMask
from harness.utils.signal_errors import sent_again

MAX_PHASES = 100_000
MAX_DURATION_S = 2.0
"""Time after which a dry run is given up."""


def planned_phases(
    method: Method, budget: Budget, *, settles: bool = True, steps: int | None = None
) -> list[Phase]:
    """The phases that a method yields when every answer is a dummy; at most `MAX_PHASES`.

    A method that decides on what it sees may take another way with a real network.

    Args:
        method: What to ask.
        budget: How long it may train.
        settles: Whether a channel mask is the same whenever it is looked at; else no two in a row
            have a channel or a width in common, so that a search for one that stays lasts as long
            as it may.
        steps: Of an epoch. Where that is not known, a snapshot within a phase is taken for one at
            its beginning, so that what follows a rewind may be up to that much shorter.
    """
    schedule = _Schedule(steps)
    phases: list[Phase] = []
    generator = method.phases(budget)
    answer: Any = None
    moving = itertools.cycle((ChannelMask({"any": "110"}), ChannelMask({"any": "001"})))
    while len(phases) < MAX_PHASES:
        try:
            phase = generator.send(answer)
        except StopIteration:
            break
        phases.append(phase)
        place = schedule.after(phase)
        answer = place if isinstance(phase, Rewind) else phase.dummy_answer()
        if not settles and isinstance(answer, ChannelMask):
            answer = next(moving)
    return phases


class _Schedule:
    """Where on the learning-rate schedule a method stands after each of its phases."""

    def __init__(self, steps: int | None) -> None:
        self._steps = steps
        self._place = 0.0
        self._taken: dict[str, float] = {}

    def after(self, phase: Phase) -> float:
        """The place after a phase, in epochs."""
        if isinstance(phase, Train):
            begun = self._place if phase.start_epoch is None else phase.start_epoch
            if phase.snapshot and self._steps:
                begin = math.floor(begun)
                self._taken[phase.snapshot.name] = begin + phase.snapshot.step / self._steps
            elif phase.snapshot:
                self._taken[phase.snapshot.name] = begun
            self._place = math.floor(begun) + phase.epochs if phase.epochs else begun
        elif isinstance(phase, Snapshot):
            self._taken[phase.name] = self._place
        elif isinstance(phase, Rewind):
            self._place = self._taken.get(phase.name, 0.0)
        elif isinstance(phase, Reinitialise):
            self._place = 0.0
        return self._place


def foreseen_phases(
    method: Method, budget: Budget, *, settles: bool = True, steps: int | None = None
) -> list[Phase] | None:
    """The same for any method; None if the method fails on dummy answers.

    Only the run can show its phases then. Called by the main thread only.

    Raises:
        UsageError: The method uses an answer in a way that fails for every network.
    """
    try:
        with _at_most(MAX_DURATION_S):
            return planned_phases(method, budget, settles=settles, steps=steps)
    except UsageError as error:
        raise UsageError(f"methods.{method.method_name()}: {error}") from None
    except (Exception, SystemExit):  # noqa: BLE001 - it is third-party code
        return None


def planned_epochs(method: Method, budget: Budget, steps: int | None = None) -> int:
    """Number of epochs that a method will train, according to a dry run.

    Args:
        method: What to ask.
        budget: How long it may train.
        steps: Of an epoch, if that is known.
    """
    phases = foreseen_phases(method, budget, steps=steps)
    if phases is None:
        return budget.epochs
    return sum(phase.epochs for phase in phases if isinstance(phase, Train))


def max_epochs(method: Method, budget: Budget) -> Mapping[str, int]:
    """Maximum number of epochs that a method will train under one name, in several phases.

    A search that trains an epoch, looks, and trains another has one name, such as "search".
    Names that only one phase has are left out: it says itself how long it is.
    """
    phases = foreseen_phases(method, budget, settles=False) or []
    trainings = [phase for phase in phases if isinstance(phase, Train)]
    counts = Counter(phase.name for phase in trainings)
    totals: Counter[str] = Counter()
    for phase in trainings:
        totals[phase.name] += phase.epochs
    return {name: total for name, total in totals.items() if counts[name] > 1}


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End what is done within after `seconds`, even an endless loop."""

    class OverError(TimeoutError):
        pass

    def over(*_: object) -> None:
        raise OverError

    was = signal.signal(signal.SIGALRM, over)
    try:
        with sent_again(signal.SIGALRM, OverError):
            signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, was)
