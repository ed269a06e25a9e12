"""The progress bar of a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

STEPS = 10_000


class LiveBar:
    """One bar for the study, with what the current run is doing; finished runs scroll above it."""

    def __init__(self, console: Console) -> None:
        self._bar = RichProgress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=STEPS)

    def __enter__(self) -> LiveBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def epoch(self, text: str, share: float) -> None:
        """An epoch has ended."""
        self._bar.update(self._task, description=text, completed=share * STEPS)

    def now(self, text: str, share: float) -> None:
        """What is going on."""
        if text:
            self._bar.update(self._task, description=text, completed=share * STEPS)

    def line(self, text: str) -> None:
        """A run has ended."""
        self._bar.console.print(text, markup=False, highlight=False)
