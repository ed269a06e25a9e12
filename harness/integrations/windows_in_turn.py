"""One window after the other, so that together they are the whole: what callbacks need."""

from __future__ import annotations

import os
from typing import Any

from harness.api import measure
from harness.energy.measurement import WindowEnergy

OTHER = "other"
"""What a trainer does before, between and after its windows."""


class WindowsInTurn:
    """A measurement whose windows tile it: to begin one ends the one before.

    Of several processes on a node, the first (LOCAL_RANK 0) measures, with all GPUs that it sees;
    for the others everything here does nothing.

    Args:
        **options: For `harness.measure`.
    """

    def __init__(self, **options: Any) -> None:
        measures = int(os.environ.get("LOCAL_RANK", "0")) == 0
        self._energy = measure(**options) if measures else None
        self._current: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it measures now."""
        return self._current is not None

    def open(self) -> None:
        """Begin to measure, if it does not."""
        if self._energy is not None and not self.is_open:
            self._energy.__enter__()
            self._energy.begin(OTHER)
            self._current = OTHER

    def turn_to(self, name: str) -> None:
        """End the window that is open, and begin another; nothing if it is that."""
        if self._energy is not None and self._current not in (None, name):
            self._energy.end(str(self._current))
            self._energy.begin(name)
            self._current = name

    def close(self) -> dict[str, WindowEnergy]:
        """End the measurement; the energy by window, their sum is the whole."""
        if self._energy is None or not self.is_open:
            return {}
        self._current = None
        self._energy.__exit__(None, None, None)
        return self._energy.windows

    def so_far_j(self) -> float | None:
        """About how much was drawn; None if it does not measure."""
        return self._energy.so_far_j() if self._energy is not None and self.is_open else None


def told(windows: dict[str, WindowEnergy]) -> str:
    """The windows in a line each."""
    return "\n".join(
        f"{name}: {window.joules.energy_j:.4g} J ± {window.joules.uncertainty_j:.2g} J "
        f"in {window.duration_s:.1f} s"
        for name, window in windows.items()
    )
