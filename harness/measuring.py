"""The energy of a piece of your own program: `with harness.measure() as energy: ...`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ContextDecorator, ExitStack, contextmanager
from pathlib import Path

from harness.energy.live import LiveEnergy
from harness.energy.measurement import Measured, Measurement
from harness.energy.meter import MeterSetup
from harness.energy.meters.estimate import watts_per_thread
from harness.energy.meters.visible import visible_gpus
from harness.energy.named_windows import WindowEnergy, by_window
from harness.settings import EnergySettings


class measure(ContextDecorator):  # noqa: N801 - it reads as the function it stands for
    """Measure what a block, or every call of a function, draws: a context manager and decorator.

    A recorder of its own watches the GPUs that `CUDA_VISIBLE_DEVICES` leaves to this process, and
    its processors, as the command `measure` does. At the borders of windows, work that torch has
    launched on a GPU is waited for.

        with harness.measure() as energy:
            with energy.window("training"):
                train()
            with energy.window("evaluation"):
                evaluate()
        print(energy.found.joules.energy_j, energy.found.joules.uncertainty_j)
        print(energy.windows["training"].joules.energy_j)

    Attributes:
        found: Energy, uncertainty, devices and flags of the last block; None before it ends.
        windows: What was drawn in the windows within it, by name.

    Args:
        period_s: Time between two readings of power.
        idle_s: Measure idle power for so long before, where a sensor measures.
        trace: Keep the raw readings in this file; None keeps none.
    """

    def __init__(
        self, *, period_s: float = 0.05, idle_s: float = 0.0, trace: Path | None = None
    ) -> None:
        self._settings = EnergySettings(period_s=period_s, idle_s=idle_s)
        self._trace = trace
        self._open: ExitStack | None = None
        self._begun: dict[str, int] = {}
        self._ended: list[tuple[str, int, int]] = []
        self.found: Measured | None = None
        self.windows: dict[str, WindowEnergy] = {}

    def __enter__(self) -> measure:
        """Start the recorder; the window opens when it reads.

        Raises:
            RuntimeError: It is open already: a block within itself has no energy of its own.
            MeasurementError: The recorder does not start.
        """
        if self._open is not None:
            raise RuntimeError("this measurement is open already; make another with measure()")
        watts, note = watts_per_thread()
        setup = MeterSetup(os.getpid(), visible_gpus().gpus, watts, note)
        with ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="energy-harness-"))
            trace = self._trace or Path(folder) / "trace.jsonl"
            trace.unlink(missing_ok=True)
            self._running = opened.enter_context(Measurement(trace, self._settings, setup))
            self._open = opened.pop_all()
        self._live = LiveEnergy(trace)
        self._begun, self._ended = {}, []
        _wait_for_gpus()
        self._running.open_window()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the window, and those within that are open, and work out what was found."""
        for name in list(self._begun):
            self.end(name)
        _wait_for_gpus()
        self._running.close_window()
        if self._open is not None:
            self._open.close()
            self._open = None
        self.found = self._running.result
        self.windows = by_window(self._running.recorded, self._ended)

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A window within the block; several of one name are added up."""
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)

    def begin(self, name: str) -> None:
        """Open a window.

        Raises:
            RuntimeError: One of that name is open, or nothing is measured now.
        """
        if self._open is None or name in self._begun:
            raise RuntimeError(f"window '{name}': is open already, or nothing is measured now")
        _wait_for_gpus()
        self._begun[name] = self._running.mark()

    def end(self, name: str, called: str | None = None) -> None:
        """Close a window.

        Args:
            name: As it was opened.
            called: What is found under; None for its name.

        Raises:
            RuntimeError: None of that name is open.
        """
        if name not in self._begun:
            raise RuntimeError(f"window '{name}': is not open")
        _wait_for_gpus()
        self._ended.append((called or name, self._begun.pop(name), self._running.mark()))

    def so_far_j(self) -> float:
        """About how much was drawn since the recorder reads: for a display, not for a table."""
        self._live.update()
        return self._live.energy_j


def _wait_for_gpus() -> None:
    """Until everything is done that torch was told to do, if it is used at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.synchronize(index)
