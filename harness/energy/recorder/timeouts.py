"""Calls drivers that may hang, each from a thread of its own, with a timeout.

A call that hangs in a driver cannot be ended. So it is left to its thread, and as long as it hangs
every further question fails at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.energy.sensors.base import Finder, Found, MeterSetup, Observer, SensorError

TIMEOUT_S = 2.0
"""A call that takes longer hangs."""
FINDING_TIMEOUT_S = 60.0
"""A driver that is loaded first takes up to ten seconds a board."""
NO_ANSWER = "the driver does not answer"


class DriverThread:
    """Asks one question at a time, in a thread."""

    def __init__(self, name: str) -> None:
        self._questions: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        self._hangs = False
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def ask(self, question: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
        """Ask, and return the answer.

        Raises:
            SensorError: There was none in time, or the previous call still hangs.
            Exception: What the question raised.
        """
        if self._hangs:
            try:
                self._answers.get_nowait()  # too late
            except queue.Empty:
                raise SensorError(NO_ANSWER) from None
        self._questions.put(question)
        try:
            answer, error = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self._hangs = True
            raise SensorError(NO_ANSWER) from None
        self._hangs = False
        if error is not None:
            raise error
        return answer

    def _work(self) -> None:
        while True:
            question = self._questions.get()
            try:
                self._answers.put((question(), None))
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
                self._answers.put((None, error))


@dataclass(frozen=True)
class _PatientObserver:
    device: str
    observer: Observer
    thread: DriverThread

    def settings(self) -> dict[str, Any]:
        return self._asked(self.observer.settings)

    def state(self) -> dict[str, Any]:
        return self._asked(self.observer.state)

    def _asked(self, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.thread.ask(question)
        except Exception:  # noqa: BLE001 - whatever a driver does: what cannot be read is left out
            return {}
        return answer


def patient(observers: Sequence[Observer]) -> list[Observer]:
    """The same observers, each asked in a thread of its own."""
    return [_PatientObserver(each.device, each, DriverThread(each.device)) for each in observers]


def found(
    kind: str, finder: Finder, setup: MeterSetup, timeout_s: float = FINDING_TIMEOUT_S
) -> Found:
    """The result of a finder; nothing, and a note, if it fails or hangs."""
    try:
        result: Found = DriverThread(kind).ask(lambda: finder(setup), timeout_s)
    except Exception as error:  # noqa: BLE001 - one kind of sensor must not hide the others
        what = str(error) if isinstance(error, SensorError) else f"{type(error).__name__}: {error}"
        return Found([], (f"{kind}: {what}",))
    return result
