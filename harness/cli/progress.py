"""What a person sees while a study runs: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from harness.cli.metrics import Now, served
from harness.energy.live import LiveEnergy
from harness.method.dry_run import max_epochs, planned_epochs
from harness.method.phases import Budget
from harness.results.energy_source import EnergyKind, EnergyKinds
from harness.results.folder import RunFolder
from harness.results.journal import Journal, in_todays_keys
from harness.scheduler.scheduler import RunOutcome
from harness.settings.metric import ACCURACY, Metric
from harness.settings.run_spec import RunSpec, short_labels_of
from harness.study.registry import Registry
from harness.utils.jsonl import LogReader
from reports.text.scores import Shown
from reports.text.units import duration, energy


class _Display(Protocol):
    def epoch(self, text: str, share: float, /) -> None: ...

    def now(self, text: str, share: float, /) -> None: ...

    def line(self, text: str, /) -> None: ...


@dataclass(frozen=True)
class Length:
    """The length of a run, as it can be foreseen.

    Attributes:
        epochs: Epochs that it will train.
        of_name: Epochs at most in phases that share a name, such as a search epoch by epoch.
    """

    epochs: int
    of_name: Mapping[str, int] = field(default_factory=dict)


class Progress:
    """Follows the runs of a study, read off journals and traces; any thread may call it."""

    def __init__(
        self, specs: Sequence[RunSpec], lengths: Sequence[Length], display: _Display
    ) -> None:
        self._display = display
        labels = short_labels_of(specs)
        self._labels = {
            spec.title: f"{label}, seed {spec.seed}"
            for spec, label in zip(specs, labels, strict=True)
        }
        self._lengths = {spec.title: each for spec, each in zip(specs, lengths, strict=True)}
        self._epochs = {title: max(each.epochs, 1) for title, each in self._lengths.items()}
        self._epochs_behind = 0
        self._followed: dict[str, _Follower] = {}
        self._doing: dict[str, str] = {}
        self._ended: list[Now] = []
        self._lock = threading.Lock()
        self.expect(specs)

    def expect(self, specs: Sequence[RunSpec]) -> None:
        """Count these runs as all there are, such as those that a rule has called for so far."""
        with self._lock:
            self._all_epochs = sum(self._epochs[spec.title] for spec in specs)
            self._titles = {
                spec.title: f"[{number}/{len(specs)}] {self._labels[spec.title]}"
                for number, spec in enumerate(specs, start=1)
            }

    def look(self, spec: RunSpec, folder: RunFolder) -> None:
        """Show how a run that is worked on stands."""
        with self._lock:
            self._look(spec, folder)

    def finish(self, outcome: RunOutcome) -> None:
        """Say how a run ended."""
        with self._lock:
            self._finish(outcome)

    def report(self, text: str) -> None:
        """Show a message about the whole study."""
        with self._lock:
            self._display.line(text)

    def now(self) -> list[Now]:
        """How all runs stand that were begun by this command, or done already."""
        with self._lock:
            running = [each.now("running") for each in self._followed.values()]
            return [*self._ended, *running]

    def _look(self, spec: RunSpec, folder: RunFolder) -> None:
        current = self._follow(spec, folder)
        for epoch_line in current.update():
            self._display.epoch(f"{self._titles[spec.title]}: {epoch_line}", self._share())
        self._doing[spec.title] = f"{self._titles[spec.title]}: {current.doing()}"
        self._display.now(" | ".join(self._doing.values()), self._share())

    def _finish(self, outcome: RunOutcome) -> None:
        spec = outcome.spec
        title = self._titles[spec.title]
        if not outcome.worked:
            self._display.line(f"{title}: {outcome.status} already")
            self._ended.append(Now(spec.arm, spec.seed, outcome.status, "", 0, 0, 0, "", None))
        else:
            current = self._follow(spec, outcome.folder)
            for epoch_line in current.update():
                self._display.epoch(f"{title}: {epoch_line}", self._share())
            self._display.line(f"{title}: {_ending(outcome)} · {current.drawn(final=True)}")
            self._ended.append(current.now(outcome.status))
        self._epochs_behind += self._epochs[spec.title]
        self._followed.pop(spec.title, None)
        self._doing.pop(spec.title, None)
        self._display.now(" | ".join(self._doing.values()), self._share())

    def _follow(self, spec: RunSpec, folder: RunFolder) -> _Follower:
        if spec.title not in self._followed:
            of_name = self._lengths[spec.title].of_name
            self._followed[spec.title] = _Follower(spec, folder, of_name)
        return self._followed[spec.title]

    def _share(self) -> float:
        here = sum(
            min(each.epochs_trained, self._epochs[run]) for run, each in self._followed.items()
        )
        return min((self._epochs_behind + here) / self._all_epochs, 1.0)


class _Follower:
    """Follows one attempt of one run."""

    def __init__(self, spec: RunSpec, folder: RunFolder, of_name: Mapping[str, int]) -> None:
        self._spec = spec
        self._of_name = of_name
        self._trained: list[str] = []
        """The name of the phase of each epoch whose work was kept."""
        self._saved = {0: 0}
        """How many epochs each checkpoint holds."""
        earlier = Journal(folder).attempts
        self._journal = LogReader(folder.journal)
        self._attempt = len(earlier)
        self._energy = LiveEnergy(folder.trace(max(self._attempt, 1)))
        self._folder = folder
        self._began = time.monotonic()
        self._window = "starting"
        self._epoch = ""
        self._metric = ACCURACY
        self._val_score: float | None = None
        self.epochs_trained = 0

    def now(self, state: str) -> Now:
        """How it stands, as of the last look."""
        is_over = state != "running"
        return Now(
            self._spec.arm,
            self._spec.seed,
            state,
            self._energy.source,
            self._energy.energy_j,
            0.0 if is_over else self._energy.power_w,
            self.epochs_trained,
            self._metric.name,
            self._val_score,
        )

    def update(self) -> Iterator[str]:
        """A line for every epoch that has ended since the last call, and for what is unlike it."""
        events = list(map(in_todays_keys, self._journal.new()))
        for event in events:
            if event["event"] == "attempt" and event["number"] > self._attempt:
                self._attempt = event["number"]
                self._energy = LiveEnergy(self._folder.trace(self._attempt))
        self._energy.update()
        for event in events:
            if event["event"] == "attempt":
                del self._trained[self._saved.get(event["restored"], 0) :]
            elif event["event"] == "checkpoint":
                self._saved[event["number"]] = len(self._trained)
            elif event["event"] == "border":
                self._window = event["window"]
            elif event["event"] == "metric":
                self._metric = Metric.from_json(event)
            elif event["event"] == "weights":
                yield from _misfits(event)
            elif event["event"] == "epoch":
                yield self._trained_epoch(event)

    def _trained_epoch(self, event: Mapping[str, Any]) -> str:
        self.epochs_trained = event["epochs_trained"]
        words = []
        if "loss" in event:  # else it evaluates an epoch reported before
            self._epoch = self._named(event)
            words.append(f"loss {event['loss']:.3f}")
        if event["val_score"] is not None:
            self._val_score = event["val_score"]
            words.append(f"validation {Shown(self._metric).tight(self._val_score)}")
        return " · ".join([self._epoch, *words, self.drawn()])

    def _named(self, event: Mapping[str, Any]) -> str:
        """Such as "search epoch 5/8", also where each epoch is a phase of its own."""
        name, number, last = event["window"], event["epoch"], event["of"]
        self._trained.append(name)
        if name in self._of_name:
            before = self._trained.count(name) - number
            number, last = before + number, max(self._of_name[name], before + last)
        return f"{name} epoch {number}/{last}"

    def doing(self) -> str:
        """The current window, the last epoch, and energy so far."""
        return " · ".join(filter(None, [self._window, self._epoch, self.drawn()]))

    def drawn(self, *, final: bool = False) -> str:
        """Energy so far, and power now or time in all."""
        unmeasured = EnergyKinds.of_source(self._energy.source).kinds - {EnergyKind.MEASURED}
        label = f" ({' and '.join(sorted(unmeasured))})" if unmeasured else ""
        spent = f"{energy(self._energy.energy_j)}{label}"
        if final:
            return f"{spent} · {duration(time.monotonic() - self._began)}"
        return f"{spent} · {self._energy.power_w:.1f} W"


def _misfits(event: Mapping[str, Any]) -> Iterator[str]:
    """What of a file of first weights the network did not take."""
    if event["drawn"]:
        yield f"{', '.join(event['drawn'])} drawn: {event['file']} has none of this width"
    if event["unused"]:
        yield f"{event['unused']} tensors of {event['file']} are not in the network"


def _ending(outcome: RunOutcome) -> str:
    if outcome.status == "failed":
        return f"failed: {Journal(outcome.folder).reason}"
    return outcome.status


class _Plain:
    """For logs and pipes: a line an epoch, a line a run."""

    def epoch(self, text: str, _share: float) -> None:
        click.echo(text)

    def now(self, text: str, share: float) -> None:
        pass

    def line(self, text: str) -> None:
        click.echo(text)


@contextmanager
def open_progress(
    registry: Registry, specs: Sequence[RunSpec], *, study: str = "", metrics: str | None = None
) -> Iterator[Progress]:
    """Progress bar on a terminal, or plain lines where there is none.

    Args:
        registry: The methods of the runs.
        specs: All runs that may come.
        study: Name of the study, for `metrics`.
        metrics: PORT or HOST:PORT at which to serve the state of runs meanwhile; None for nowhere.
    """
    console = Console()
    lengths = [planned_length(registry, spec) for spec in specs]
    with ExitStack() as stack:
        display = stack.enter_context(LiveBar(console)) if console.is_terminal else _Plain()
        progress = Progress(specs, lengths, display)
        stack.enter_context(served(metrics, study, progress.now))
        yield progress


def planned_length(registry: Registry, spec: RunSpec) -> Length:
    """Epochs that a run will train, if its method can be asked without a network."""
    method, budget = registry.get(spec.method)(**spec.hyperparameters), Budget(spec.training.epochs)
    return Length(planned_epochs(method, budget), max_epochs(method, budget))


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
