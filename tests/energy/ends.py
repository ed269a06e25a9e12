"""The pipes that a recorder listens to, with their far ends, in a test's own process."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from harness.energy.recorder.clock import PipeSignals


class Ends:
    """Standard input and a pipe of borders, with the far ends of both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.input, self.input_far = os.pipe()
        self.borders, self.borders_far = os.pipe()
        monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=lambda: self.input))
        self.signals = PipeSignals(self.borders)

    def waited(self, ns: int) -> tuple[bool, int]:
        """Whether a border was heard, and how long that took."""
        began = time.monotonic_ns()
        heard = self.signals.wait(began + ns)
        return heard, time.monotonic_ns() - began
