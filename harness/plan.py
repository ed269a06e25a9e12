"""What a method will ask for, found out without a network: its phases with invented answers."""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.channel_mask import ChannelMask
from harness.errors import UsageError
from harness.method import Method
from harness.phases import Budget, Phase, Train

MOST_PHASES = 100_000
LONGEST_S = 2.0
"""Longer than this nobody waits to know what a method will ask for."""


def planned_phases(method: Method, budget: Budget, *, settles: bool = True) -> list[Phase]:
    """The phases a method yields when every answer is invented; at most `MOST_PHASES`.

    A method that decides on what it sees may take another way with a real network.

    Args:
        method: What to ask.
        budget: How long it may train.
        settles: Whether a channel mask is the same whenever it is looked at; else no two in a row
            have a channel in common, so that a search for one that stays lasts as long as it may.
    """
    phases: list[Phase] = []
    generator = method.phases(budget)
    answer: Any = None
    moving = itertools.cycle((ChannelMask({"any": "10"}), ChannelMask({"any": "01"})))
    while len(phases) < MOST_PHASES:
        try:
            phase = generator.send(answer)
        except StopIteration:
            break
        phases.append(phase)
        answer = phase.invented()
        if not settles and isinstance(answer, ChannelMask):
            answer = next(moving)
    return phases


def foreseen_phases(method: Method, budget: Budget, *, settles: bool = True) -> list[Phase] | None:
    """The same, whatever the method does; None if it does not bear invented answers.

    The run will tell then. Called by the main thread alone.

    Raises:
        UsageError: The method uses an answer as it cannot be used, whatever the network.
    """
    try:
        with _at_most(LONGEST_S):
            return planned_phases(method, budget, settles=settles)
    except UsageError as error:
        raise UsageError(f"methods.{method.method_name()}: {error}") from None
    except (Exception, SystemExit):  # noqa: BLE001 - it is a stranger's code
        return None


def planned_epochs(method: Method, budget: Budget) -> int:
    """How many epochs a method will train, as far as can be known before."""
    phases = foreseen_phases(method, budget)
    if phases is None:
        return budget.epochs
    return sum(phase.epochs for phase in phases if isinstance(phase, Train))


def most_epochs(method: Method, budget: Budget) -> Mapping[str, int]:
    """How many epochs at most a method will train under one name, in several phases.

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
    """Whatever is done within, and be it a loop without an end, is over after so long."""

    def over(*_: object) -> None:
        raise TimeoutError

    was = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, was)
