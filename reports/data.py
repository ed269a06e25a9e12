"""The three tidy tables of a study, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

RUN_COLUMNS = [
    "study",
    "arm",
    "method",
    "seed",
    "status",
    "reason",
    "test_accuracy",
    "val_accuracy",
    "energy_j",
    "uncertainty_j",
    "energy_source",
    "energy_scope",
    "energy_device",
    "energy_note",
    "coverage",
    "lost_j",
    "overhead_j",
    "co2e_kg",
    "carbon_basis",
    "duration_s",
    "attempts",
    "parameters",
    "macs",
    "dense_parameters",
    "dense_macs",
    "density",
    "epochs_trained",
    "device",
    "host",
    "started_at",
]
CURVE_COLUMNS = [
    "arm",
    "method",
    "seed",
    "order",
    "phase",
    "epochs_trained",
    "energy_j",
    "val_accuracy",
]
PHASE_COLUMNS = [
    "arm",
    "method",
    "seed",
    "phase",
    "energy_j",
    "duration_s",
]


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study's results: one row a run, one row an evaluation, one row a phase.

    Energies are in joules, accuracies are shares of 1, durations are in seconds.
    `baseline` is the arm every other arm is compared with.
    """

    study: str
    runs: pd.DataFrame
    curves: pd.DataFrame
    phases: pd.DataFrame
    baseline: str = "dense"

    def __post_init__(self) -> None:
        """Refuse tables that would give a wrong figure without a word."""
        _require(self.runs, RUN_COLUMNS, "runs")
        _require(self.curves, CURVE_COLUMNS, "curves")
        _require(self.phases, PHASE_COLUMNS, "phases")
        finished = self.finished
        twice = finished[finished.duplicated(["arm", "seed"])]
        if len(twice):
            first = twice.iloc[0]
            raise ValueError(
                f"runs: arm '{first['arm']}' has more than one finished run with seed "
                f"{first['seed']}; give arms that differ a label of their own"
            )

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that ended well; only these enter a mean."""
        return self.runs[self.runs["status"] == "done"]

    @property
    def telling(self) -> pd.DataFrame:
        """The runs that say how energy was measured: the finished ones, or all if none is."""
        finished = self.finished
        return finished if len(finished) else self.runs

    @property
    def arms(self) -> list[str]:
        """Every arm, the baseline first, the others in order of appearance."""
        seen = [str(arm) for arm in dict.fromkeys(self.runs["arm"])]
        baseline = self.baseline_arm
        return sorted(seen, key=lambda arm: arm != baseline)

    @property
    def finished_arms(self) -> list[str]:
        """The arms with at least one finished run."""
        done = set(self.finished["arm"])
        return [arm for arm in self.arms if arm in done]

    @property
    def baseline_arm(self) -> str | None:
        """The label of the baseline's arm, or None if the study has no such arm."""
        if (self.runs["arm"] == self.baseline).any():
            return self.baseline
        labels = list(dict.fromkeys(self.runs.loc[self.runs["method"] == self.baseline, "arm"]))
        return str(labels[0]) if len(labels) == 1 else None

    def by_seed(self, arm: str, column: str) -> dict[int, float]:
        """One value a finished run of an arm, keyed by seed, in the column's own unit."""
        rows = self.finished[self.finished["arm"] == arm]
        return {int(s): float(v) for s, v in zip(rows["seed"], rows[column], strict=True)}

    def of_finished(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of `curves` or `phases` that belong to finished runs."""
        return table.merge(self.finished[["arm", "seed"]], on=["arm", "seed"], how="inner")


def _require(table: pd.DataFrame, columns: list[str], name: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{name}: missing column {', '.join(missing)}")
