"""Check of the method contract, on a small network, on the CPU, in less than a minute.

What a study relies on: the same seed gives the same result, a run that was stopped ends as if it
had not been stopped, and work is done in phases alone, where its energy has a name.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.errors import RunError
from harness.method.base import Method
from harness.method.dry_run import foreseen_phases, planned_phases
from harness.method.phases import Budget, Phase, Recall, Train
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.journal_writer import JournalWriter
from harness.runner.phase_executor import PhaseContext
from harness.runner.run_method import run_method
from harness.settings.settings import Training, WorkloadChoice
from harness.training.checkpoint import Checkpoint
from harness.training.state import TrainingState
from harness.workloads.workload import Workload, open_workload

RECIPE = Training(epochs=3, batch_size=64, learning_rate=0.05)
CHOICE = WorkloadChoice(data="digits", model="vgg_small", train_samples=512)
SEED = 0
SAME_SEED = "the same seed gives the same weights"
MIN_COVERED = 0.98
"""Deciding what comes next takes next to nothing."""


def check_method(method: Method) -> Iterator[Finding]:
    """Try a method; findings come as they are made, the last ones only if the first hold.

    Args:
        method: With the hyper-parameters to try.
    """
    try:
        phases = planned_phases(method, Budget(RECIPE.epochs))
    except Exception as error:  # noqa: BLE001 - third-party code
        # It may look closely at answers; then only a real network can show.
        yield Finding(True, f"a plan cannot foresee it ({type(error).__name__}: {error})")
    else:
        epochs = sum(phase.epochs for phase in phases if isinstance(phase, Train))
        yield Finding(True, f"a plan foresees {len(phases)} phases and {epochs} epochs")
    with tempfile.TemporaryDirectory() as scratch:
        yield from _tried(method, Path(scratch))


def _tried(method: Method, scratch: Path) -> Iterator[Finding]:
    workload = open_workload(_choice(method), RECIPE, torch.device("cpu"))
    try:
        first = _Trial(method, workload, scratch / "first")
        first.run()
    except RunError as error:
        yield Finding(False, f"it does not run to its end: {error}")
        return
    yield Finding(True, "it runs to its end")
    yield _no_work_outside(first)
    second = _Trial(method, workload, scratch / "second")
    second.run()
    yield _same(first, second, SAME_SEED, "draw random numbers from torch, within phases")
    yield _covers(second)
    checkpoints = len(Journal(first.folder).events("checkpoint"))
    third = _Trial(method, workload, scratch / "third")
    try:
        for stop in range(1, checkpoints + 1):
            third.run(stop_after=stop)
        third.run()
    except RunError as error:
        yield Finding(False, f"stopped after each checkpoint, it does not go on: {error}")
        return
    what = f"stopped after each of {checkpoints} checkpoints, it ends the same"
    yield _same(first, third, what, "let phases follow from answers alone")


def _choice(method: Method) -> WorkloadChoice:
    """The small network that a method is tried on: one with blocks if it leaves some out."""
    phases = foreseen_phases(method, Budget(RECIPE.epochs)) or []
    skips = any(isinstance(phase, Train) and phase.skip for phase in phases)
    return CHOICE.model_copy(update={"model": "vit_tiny"}) if skips else CHOICE


def _no_work_outside(trial: _Trial) -> Finding:
    if not trial.watched.operations:
        return Finding(True, "torch works in phases alone")
    listed = ", ".join(sorted(trial.watched.operations)[:3])
    return Finding(
        False,
        f"torch works outside phases ({listed}): its energy would be called overhead; move it into "
        "the question of an Inspect",
    )


def _covers(trial: _Trial) -> Finding:
    """By this thread's processor time, which neither a busy machine nor idle helpers stretch."""
    share = 1 - trial.watched.deciding_s / trial.work_s
    if share >= MIN_COVERED:
        return Finding(True, f"its phases cover {share:.1%} of the work")
    return Finding(
        False,
        f"its phases cover {share:.0%} of the work: the rest passes between them and would be "
        "called overhead; move it into a phase, or do less",
    )


def _same(one: _Trial, other: _Trial, what: str, advice: str) -> Finding:
    weights, others = one.weights(), other.weights()
    if weights.keys() == others.keys() and all(
        torch.equal(tensor, others[name]) for name, tensor in weights.items()
    ):
        return Finding(True, what)
    return Finding(False, f"not so: {what}; {advice}")


class _Trial:
    """One run of a method, in a folder of its own."""

    def __init__(self, method: Method, workload: Workload, path: Path) -> None:
        self.folder = RunFolder(path)
        path.mkdir()
        self.watched = _Watched(method)
        self.work_s = 0.0
        self._workload = workload
        self._attempts = 0

    def run(self, stop_after: int | None = None) -> None:
        """Go on from the newest checkpoint to the end, or to right after a checkpoint."""
        self._attempts += 1
        start = Checkpoint.load(self.folder.checkpoint, torch.device("cpu"))
        state = TrainingState(self._workload, RECIPE, SEED, self.folder.snapshot)
        if start:
            state.load_state_dict(start.state)
        journal = _Journal(self.folder.journal, stop_after)
        journal.event("attempt", number=self._attempts, restored=start.number if start else 0)
        context = PhaseContext(self._workload, RECIPE, SEED, state, journal, _recalled)
        begun_s = time.thread_time()
        try:
            run_method(self.watched, context, self.folder, start)  # type: ignore[arg-type]
        except _Stop:
            return
        except RunError:
            raise
        except Exception as error:
            raise RunError(f"{type(error).__name__}: {error}") from error
        finally:
            self.work_s += time.thread_time() - begun_s

    def weights(self) -> dict[str, torch.Tensor]:
        """What it ended with."""
        saved = Checkpoint.load(self.folder.checkpoint, torch.device("cpu"))
        return dict(saved.state["network"]) if saved else {}


def _recalled(method: str) -> Any:
    return Recall(method).dummy_answer()


class _Stop(BaseException):
    """The end of a trial that is to go on later."""


class _Journal(JournalWriter):
    """A journal that ends the run right after a checkpoint."""

    def __init__(self, path: Path, stop_after: int | None) -> None:
        super().__init__(path, lambda: None)
        self._stop_after = stop_after

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        super().event(name, durable=durable, **values)
        if name == "checkpoint" and values["number"] == self._stop_after:
            raise _Stop


class _Watched:
    """A method whose generator is looked at while it decides."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.operations: set[str] = set()
        self.deciding_s = 0.0

    def phases(self, budget: Budget) -> Generator[Phase, Any, None]:
        """The method's own phases."""
        generator, answer = self._method.phases(budget), None
        while True:
            begun_s = time.thread_time()
            try:
                with _Noting(self.operations):
                    phase = generator.send(answer)
            except StopIteration:
                return
            finally:
                self.deciding_s += time.thread_time() - begun_s
            answer = yield phase


class _Noting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation of torch."""

    def __init__(self, operations: set[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations = operations

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._operations.add(str(func))
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        holds: Whether it is as it must be.
        text: What was tried; if it does not hold, what was seen and what to do.
    """

    holds: bool
    text: str
