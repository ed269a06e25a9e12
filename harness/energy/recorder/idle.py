"""Whether GPUs have gone to idle clocks: until then their power is not what the card draws idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from harness.energy.meter import Observer

MAX_WAIT_NS = 10_000_000_000
"""A card that is not idle by then stays so while a context is open, or works for others."""
LOOK_NS = 250_000_000


@runtime_checkable
class IdleObserver(Protocol):
    """An observer of a device that knows when the device has nothing to do."""

    def is_idle(self) -> bool | None:
        """Whether it has slowed down for lack of work; None if that is unknown."""
        ...


def at_idle_clocks(observers: Sequence[Observer]) -> bool | None:
    """Whether all devices that can tell have slowed down for lack of work; None if none can."""
    told = [each.is_idle() for each in observers if isinstance(each, IdleObserver)]
    known = [each for each in told if each is not None]
    return all(known) if known else None
