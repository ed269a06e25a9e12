"""Errors that a signal's handler raises, where Python cannot raise any."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN_S = 0.05
"""Time until a signal is sent again."""


@contextmanager
def sent_again(number: int, error: type[BaseException]) -> Iterator[None]:
    """Send a signal again, until the error that its handler raises has arrived.

    Where nothing can be raised, in a callback of a weak reference or of the garbage collector and
    in a `__del__`, Python prints the error and continues: here it is not printed. Used by the main
    thread, which handles signals.

    Args:
        number: The signal; its handler is the one that it has now, even if that ignores the next.
        error: What its handler raises.
    """
    handler, otherwise = signal.getsignal(number), sys.unraisablehook
    timers: list[threading.Timer] = []

    def hook(swallowed: Any) -> None:
        if swallowed.exc_type is not error:
            otherwise(swallowed)
            return
        signal.signal(number, handler)
        timers.append(threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)))
        timers[-1].start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = otherwise
        for timer in timers:  # none may come later, when another handler answers
            timer.cancel()
            timer.join()
