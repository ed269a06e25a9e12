"""Writes how busy GPUs are into the trace, beside the readings of their sensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from harness.energy.busy import PERIOD_NS
from harness.energy.meter import Observer
from harness.energy.recorder.trace_writer import TraceWriter


@runtime_checkable
class BusyObserver(Protocol):
    """An observer that reports how busy its device is."""

    @property
    def device(self) -> str:
        """As of `Observer`."""
        ...

    def busy_percent(self) -> float | None:
        """The share of its last sample period; None if it cannot be read."""
        ...


class BusyStream:
    """Looks at a steady pace, and writes a line when a figure has changed or cannot be read.

    Args:
        observers: Those that can tell are asked.
        trace: Where lines go.

    Attributes:
        next_ns: When to look next; None if there is nothing to look at.
    """

    def __init__(self, observers: Sequence[Observer], trace: TraceWriter) -> None:
        self._observers = [each for each in observers if isinstance(each, BusyObserver)]
        self._trace = trace
        self._known: dict[str, float | None] = {}
        self.next_ns: int | None = 0 if self._observers else None

    def look(self, now_ns: int) -> None:
        """Look, if it is time to."""
        if self.next_ns is None or now_ns < self.next_ns:
            return
        self.next_ns = now_ns + PERIOD_NS
        for observer in self._observers:
            try:
                percent = observer.busy_percent()
            except Exception:  # noqa: BLE001 - whatever a driver does: it could not be read
                percent = None
            self._note(observer.device, percent, now_ns)

    def lose(self, now_ns: int) -> None:
        """The driver does not answer: from now on nothing is known."""
        for device in list(self._known):
            self._note(device, None, now_ns)

    def _note(self, device: str, percent: float | None, now_ns: int) -> None:
        if percent != self._known.get(device):
            self._trace.tell({"busy_percent": percent, "device": device, "time_ns": now_ns})
            self._known[device] = percent
