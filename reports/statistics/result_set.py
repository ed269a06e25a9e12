"""The two sides of a comparison: a result set, and one arm's runs in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from harness.results.energy_source import EnergyKinds
from harness.results.final_test import FinalTest
from harness.settings.metric import ACCURACY, Metric
from reports.statistics.energy_ratio import boards_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from harness.settings.run_spec import RunSpec
    from reports.statistics.energy_ratio import Board


@dataclass(frozen=True, eq=False)
class ArmRuns:
    """The runs of one arm in one result set.

    Attributes:
        side: What the result set is called: "A" or "B".
        spec: What was asked for, but for the seed.
        runs: Its rows of the table of runs, finished or not.
        attempts: Its rows of the table of attempts.
        tests: By seed, what runs found on the test set, sample by sample where that was recorded.
        metric: What its scores are.
    """

    side: str
    spec: RunSpec
    runs: pd.DataFrame
    attempts: pd.DataFrame
    tests: Mapping[int, FinalTest] = field(default_factory=dict)
    metric: Metric = ACCURACY

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that ended well; only these are compared."""
        return self.runs[self.runs["status"] == "done"]

    @property
    def finished_attempts(self) -> pd.DataFrame:
        """Every attempt of the finished runs."""
        return self.attempts[self.attempts["seed"].isin(self.finished["seed"])]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The machines that the finished runs were made on, in all their attempts."""
        return _texts(self.finished_attempts["host"])

    @property
    def boards(self) -> dict[int, Board]:
        """By seed of a finished run, what measured it."""
        return boards_of(self.finished, self.attempts)

    @property
    def standings(self) -> tuple[str, ...]:
        """Kinds of the known energies of the finished runs: "measured", "estimated" ..."""
        rows = self.finished
        known = rows.loc[pd.to_numeric(rows["energy_j"]).notna(), "energy_source"]
        return tuple(sorted({EnergyKinds.of_source(source).adjective for source in known.dropna()}))

    def by_seed(self, column: str) -> dict[int, float]:
        """One known value per finished run, by its seed, in the column's own unit."""
        rows = self.finished
        if column not in rows:
            return {}
        values = pd.to_numeric(rows[column])
        named = zip(rows["seed"], values, strict=True)
        return {int(seed): float(value) for seed, value in named if math.isfinite(value)}

    def tested(self, seeds: Collection[int]) -> dict[int, FinalTest]:
        """What the finished runs of these seeds found on the test set."""
        scores = self.by_seed("test_score")
        return {
            seed: self.tests.get(seed, FinalTest(scores[seed], metric=self.metric))
            for seed in seeds
        }

    def distinct(self, column: str) -> tuple[str, ...]:
        """The different texts of a column over the finished runs, sorted; empty ones left out."""
        return _texts(self.finished[column])


def _texts(column: pd.Series) -> tuple[str, ...]:
    texts = {str(value).strip() for value in column.dropna()}
    return tuple(sorted(texts - {""}))


@dataclass(frozen=True, eq=False)
class ResultSet:
    """The results of one study, as `compare` takes them.

    Attributes:
        side: What it is called: "A" or "B".
        folder: Its path, as it was given.
        study: The study's name.
        runs: One row per run.
        attempts: One row per attempt.
        specs: By arm, the specification of one of its runs.
        tests: By arm and seed, what runs found on the test set.
        metric: What scores are.
    """

    side: str
    folder: str
    study: str
    runs: pd.DataFrame
    attempts: pd.DataFrame
    specs: Mapping[str, RunSpec]
    tests: Mapping[tuple[str, int], FinalTest] = field(default_factory=dict)
    metric: Metric = ACCURACY

    def arm(self, label: str) -> ArmRuns:
        """The runs of one arm."""
        return ArmRuns(
            side=self.side,
            spec=self.specs[label],
            runs=self.runs[self.runs["arm"] == label],
            attempts=self.attempts[self.attempts["arm"] == label],
            tests={seed: test for (arm, seed), test in self.tests.items() if arm == label},
            metric=self.metric,
        )
