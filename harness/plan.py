"""What a method will ask for, found out without a network: its phases with invented answers."""

from __future__ import annotations

from typing import Any

from harness.method import Method
from harness.phases import Budget, Phase, Train

MOST_PHASES = 100_000


def planned_phases(method: Method, budget: Budget) -> list[Phase]:
    """The phases a method yields when every answer is invented; at most `MOST_PHASES`.

    A method that decides on what it sees may take another way with a real network.
    """
    phases: list[Phase] = []
    generator = method.phases(budget)
    answer: Any = None
    while len(phases) < MOST_PHASES:
        try:
            phase = generator.send(answer)
        except StopIteration:
            break
        phases.append(phase)
        answer = phase.invented()
    return phases


def planned_epochs(method: Method, budget: Budget) -> int:
    """How many epochs a method will train, as far as can be known before."""
    try:
        phases = planned_phases(method, budget)
    except Exception:  # noqa: BLE001 - a stranger's method may not bear invented answers; the run will tell
        return budget.epochs
    return sum(phase.epochs for phase in phases if isinstance(phase, Train))
