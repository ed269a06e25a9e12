"""The seam between a study and where its runs are carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.results.folder import StudyFolder
    from harness.scheduler.ordering import Reliance
    from harness.scheduler.rounds import Rounds
    from harness.scheduler.scheduler import RunOutcome
    from harness.settings.run_spec import RunSpec
    from harness.study.registry import Registry
    from harness.study.study import Study


@dataclass(frozen=True)
class Assignment:
    """What an engine is asked for.

    Attributes:
        study: What to run; `study.engine` has what the study says of the engine.
        registry: Its methods.
        relied_on: The runs that a run builds on: they end before it begins.
        rounds: Which runs the results so far call for.
        retry_failed: Begin failed runs anew.
        require_measured: Energy that no sensor measures is an error.
        wait: Until all has ended, for an engine that may be left.
        metrics: PORT or HOST:PORT at which to serve how runs stand; None for nowhere.
    """

    study: Study
    registry: Registry
    relied_on: Reliance
    rounds: Rounds
    retry_failed: bool = False
    require_measured: bool = False
    wait: bool = False
    metrics: str | None = None


class Engine(Protocol):
    """Carries out runs, or hands them over to something that does.

    The unit of work is the command `python -m harness worker RUN_SPEC`: it does nothing to a
    finished run, and goes on with one that was interrupted.
    """

    may_be_left: bool
    """Whether runs go on when the command has ended, as in a queue."""

    def work(
        self, folder: StudyFolder, specs: list[RunSpec], missing: list[RunSpec]
    ) -> list[RunOutcome]:
        """See to all that is missing.

        Args:
            folder: Where results go.
            specs: All runs, in the order of their turns; `Assignment.rounds` says which of them
                the results call for.
            missing: Those that are called for so far and not done.

        Returns:
            How each run stands that nobody works on any more.

        Raises:
            UsageError: Some cannot be carried out; none was begun.
            MeasurementError: The energy cannot be measured as asked for.
            StorageError: Results cannot be written any more.
        """
        ...
