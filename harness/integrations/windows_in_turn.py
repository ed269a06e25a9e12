"""Windows that follow each other and together cover a whole training, for callbacks."""

from __future__ import annotations

import os
from typing import Any

from harness.api import measure
from harness.energy.window_energy import WindowEnergy

OTHER = "other"
"""Window of what a trainer does before, between and after the others."""


class WindowsInTurn:
    """A measurement whose windows tile it: beginning one ends the one before.

    Of several processes on a node, the first (LOCAL_RANK 0) measures, with all GPUs that it sees;
    in the others all methods do nothing.

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
        """Begin to measure, unless it does already."""
        if self._energy is not None and not self.is_open:
            self._energy.__enter__()
            self._energy.begin(OTHER)
            self._current = OTHER

    def turn_to(self, name: str) -> None:
        """End the open window and begin another, unless it is the same."""
        if self._energy is not None and self._current not in (None, name):
            self._energy.end(str(self._current))
            self._energy.begin(name)
            self._current = name

    def close(self) -> dict[str, WindowEnergy]:
        """End the measurement; returns the energy by window, whose sum is the whole."""
        if self._energy is None or not self.is_open:
            return {}
        self._current = None
        self._energy.__exit__(None, None, None)
        return self._energy.windows

    def so_far_j(self) -> float | None:
        """The approximate energy so far; None if it does not measure."""
        return self._energy.so_far_j() if self._energy is not None and self.is_open else None


def summary(windows: dict[str, WindowEnergy]) -> str:
    """The energy of the windows, one line each."""
    return "\n".join(
        f"{name}: {window.joules.energy_j:.4g} J ± {window.joules.uncertainty_j:.2g} J "
        f"in {window.duration_s:.1f} s"
        for name, window in windows.items()
    )
