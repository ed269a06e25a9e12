"""A method's generator, played with invented answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import Budget, Method, Train
from harness.method.phases import Phase


def played(
    method: Method, budget: Budget, answer: Callable[[Phase], Any] = lambda _phase: None
) -> list[Phase]:
    """The phases a method yields when `answer` answers; where it says None, the phase invents."""
    phases: list[Phase] = []
    generator = method.phases(budget)
    given: Any = None
    while True:
        try:
            phase = generator.send(given)
        except StopIteration:
            return phases
        phases.append(phase)
        answered = answer(phase)
        given = phase.dummy_answer() if answered is None else answered


def kinds(phases: list[Phase]) -> list[str]:
    """The names of the phases' types."""
    return [type(phase).__name__ for phase in phases]


def trainings(phases: list[Phase]) -> list[Train]:
    """The phases that train."""
    return [phase for phase in phases if isinstance(phase, Train)]


def epochs_of(phases: list[Phase]) -> int:
    """How many epochs are trained in all."""
    return sum(phase.epochs for phase in trainings(phases))
