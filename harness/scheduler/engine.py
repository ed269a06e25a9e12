"""The interface between a study and where its runs are carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.energy.carbon.green_times import GreenTimes
    from harness.results.folder import RunFolder, StudyFolder
    from harness.scheduler.ordering import Reliance
    from harness.scheduler.rounds import CallsRuns
    from harness.scheduler.scheduler import RunOutcome
    from harness.settings.run_spec import RunSpec
    from harness.study.registry import Registry
    from harness.study.study import Study


class Progress(Protocol):
    """Shows a person the state of runs while an engine works on them; any thread may call it."""

    def expect(self, specs: Sequence[RunSpec], /) -> None:
        """Count these runs as all there are, such as those that a rule has called for so far."""
        ...

    def look(self, spec: RunSpec, folder: RunFolder, /) -> None:
        """Show the state of a run in progress; called repeatedly."""
        ...

    def finish(self, outcome: RunOutcome, /) -> None:
        """Show how a run ended."""
        ...

    def report(self, text: str, /) -> None:
        """Show a message about the whole study."""
        ...


@dataclass(frozen=True)
class Assignment:
    """What an engine is asked to do.

    Attributes:
        study: What to run; `study.engine` has its settings for the engine.
        registry: The methods that exist.
        relied_on: The runs that a run builds on: they end before it begins.
        rounds: Which runs the results so far call for.
        progress: Opens a display for all runs of the study, closed when the engine returns. An
            engine whose runs continue without it need not use it.
        retry_failed: Retry failed runs.
        require_measured: Fail where no hardware sensor measures energy.
        when: When electricity is green enough to run; None runs at once. Only the local engine
            waits.
        wait: Return only when all runs have ended, also if the engine could return earlier.
        before: Runs of an earlier stage, such as trials, which count towards the study's limits.
    """

    study: Study
    registry: Registry
    relied_on: Reliance
    rounds: CallsRuns
    progress: Callable[[Sequence[RunSpec]], AbstractContextManager[Progress]]
    retry_failed: bool = False
    require_measured: bool = False
    when: GreenTimes | None = None
    wait: bool = False
    before: tuple[RunFolder, ...] = ()


class Engine(Protocol):
    """Carries out runs, or hands them to something that does, such as a queue.

    The unit of work is the command `python -m harness worker RUN_SPEC`: it does nothing to a
    finished run, and resumes one that was interrupted.
    """

    may_be_left: bool
    """Whether runs continue when the command has ended, as in a queue."""

    def run(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[RunOutcome]:
        """Carry out all missing runs.

        Args:
            folder: The results folder.
            specs: All runs, in the order in which to begin them; `Assignment.rounds` says which of
                them the results call for.
            missing: Those that are called for so far and not done.

        Returns:
            The state of each run that no process works on any more.

        Raises:
            UsageError: Some runs cannot be carried out; none was begun.
            MeasurementError: The energy cannot be measured as requested.
            StorageError: Results cannot be written any more.
        """
        ...
