"""The progress bar of a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

STEPS = 10_000


class _TwoLines(RichProgress):
    """The bar with its times, and below it what is being done, so that neither cuts the other."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines, from the top."""
        yield from super().get_renderables()
        for task in self.tasks:
            yield Text(task.description, no_wrap=True, overflow="ellipsis")


class LiveBar:
    """One bar for the study, with what the current run is doing; finished runs scroll above it."""

    def __init__(self, console: Console) -> None:
        self._bar = _TwoLines(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("left"),
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
