"""Holds runs back until electricity is green enough, and pauses them when it is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from harness.energy.carbon.green_times import GreenTimes

POLL_S = 1.0
"""Time between two looks while nothing runs."""


class Clock(Protocol):
    """The time, and waiting for it to pass."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class NoLongerKnown(Exception):  # noqa: N818 - the end of a forecast is no error
    """Raised when it is not known any more when to run; the text says why."""


class GreenGate:
    """Lets runs begin while electricity is green; any thread may call it.

    Each thread of an engine works on one run after the other, so what it has waited in all is how
    much later its present run begins than it would have.

    Attributes:
        rule: What was asked for.

    Args:
        times: When to run.
        report: Shows a person what is waited for.
        clock: The machine's, or a made one.
    """

    def __init__(
        self, times: GreenTimes, report: Callable[[str], None], clock: Clock = time
    ) -> None:
        self.rule = times.rule
        self._times = times
        self._report = report
        self._clock = clock
        self._shown = ""
        self._own = threading.local()

    @property
    def behind_s(self) -> float:
        """How long this thread has waited so far."""
        return float(getattr(self._own, "behind_s", 0.0))

    def why_pause(self) -> str | None:
        """Why a run that stands at a checkpoint should pause; None if it need not."""
        state = self._times.state(self._clock.time_ns())
        return None if state.is_open else f"paused at a checkpoint: {state.text}"

    def wait(self, look: Callable[[], None]) -> float:
        """Wait until it is time to run.

        Args:
            look: Called meanwhile; what it raises ends the waiting.

        Returns:
            Seconds waited.

        Raises:
            NoLongerKnown: The rule cannot be held against anything any more.
            StopRun: `look` raised it.
        """
        began_ns = self._clock.time_ns()
        while not (state := self._times.state(self._clock.time_ns())).is_open:
            if state.is_open is None:
                raise NoLongerKnown(state.text)
            if state.text != self._shown:
                self._shown = state.text
                self._report(state.text)
            look()
            self._clock.sleep(POLL_S)
        waited_s = max(self._clock.time_ns() - began_ns, 0) * 1e-9
        self._own.behind_s = self.behind_s + waited_s
        return waited_s
