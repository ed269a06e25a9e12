"""A study's tables, validated on construction: what every table and figure of a report takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.results.final_test import FinalTest
from harness.results.journal import RENAMED
from harness.results.run_detail import CloseUp, close_up
from harness.results.schema import ATTEMPTS, CURVES, PHASES, TICKETS, names
from harness.results.tuning import COLUMNS as TUNING_COLUMNS
from harness.settings.metric import ACCURACY, Metric
from harness.study.study import rule_of
from reports.statistics.arm_groups import arm_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.results.folder import RunFolder
    from harness.results.table import Tables
    from harness.settings.report import Claim
    from harness.study.study import UntilDecided


RUN_COLUMNS = [
    "study",
    "arm",
    "method",
    "seed",
    "status",
    "reason",
    "test_score",
    "val_score",
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
CURVE_COLUMNS = names(CURVES)
NEWER = ("gpu_busy", "threads_in_use")
"""Columns that tables from elsewhere may lack."""
PHASE_COLUMNS = [column for column in names(PHASES) if column not in NEWER]
ATTEMPT_COLUMNS = names(ATTEMPTS)
TICKET_COLUMNS = names(TICKETS)
PLACE_COLUMNS = ["place", "kg_per_kwh", "basis", "role"]
HOUR_COLUMNS = ["arm", "hour", "kg_per_kwh", "kg_per_kwh_low", "kg_per_kwh_high"]


@dataclass(frozen=True)
class AskedClaim:
    """A published claim and the arms that it is about.

    `arm` and `against` are labels, or None where no arm, or several, are meant. The bounds are None
    where the claim does not mention energy (a ratio) or score: the least difference that it grants,
    or the most where lower is better, as the metric shows it. `scale` says how far the study is
    from the published workload.
    """

    text: str
    source: str
    arm: str | None
    against: str | None
    energy_at_most: float | None
    difference_bound: float | None
    scale: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage of a decomposition: an arm's label, and what is new in it.

    `arm` is None where no arm, or several, are meant. The first stage has no `factor`.
    """

    factor: str
    arm: str | None


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study's results, as every table and figure of a report takes them.

    Energies are in joules, scores in the metric's unit, durations in seconds. What follows from
    the tables is computed once: they do not change after they were first used.

    Attributes:
        study: Its name.
        runs: One row per run (RUN_COLUMNS and more; see harness/results/README.md).
        curves: One row per evaluation on validation data.
        phases: One row per run and energy window.
        baseline: The arm every other arm is compared with.
        attempts: One row per attempt of a run.
        tickets: One row a channel mask that a method looked at.
        places: Carbon factors: `place`, `kg_per_kwh` (PUE included), `basis` and `role`: "here",
            "also" (the study asks for it) or "reference".
        hours: For each arm, the factor around a run that begins at an `hour` of the day (UTC): its
            mean over days, and the lowest and highest day; empty without a series.
        close_ups: By arm, the finished run whose energy is the arm's median, in detail.
        claims: Published claims to test.
        decomposition: Stages of a decomposition; empty if the study asks for none.
        metric: What scores are.
        margin: How much worse a score may be, as the metric shows it.
        target_score: The validation score whose shares are targets, as the metric shows it; None
            for the one that the baseline ends with.
        inferences_per_day: How often a network is used; None if the study does not say.
        retrainings_per_year: How often the whole recipe is run again meanwhile.
        settings: The study as it was run.
        tests: By arm and seed, what a finished run found on the test set.
        tuning: One row per trial that was begun to choose a recipe, with a column for each key that
            was tuned; empty if the study tunes nothing.
    """

    study: str
    runs: pd.DataFrame
    curves: pd.DataFrame
    phases: pd.DataFrame
    baseline: str = "dense"
    attempts: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=ATTEMPT_COLUMNS))
    tickets: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=TICKET_COLUMNS))
    places: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=PLACE_COLUMNS))
    hours: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=HOUR_COLUMNS))
    close_ups: Mapping[str, CloseUp] = field(default_factory=dict)
    claims: tuple[AskedClaim, ...] = ()
    decomposition: tuple[Stage, ...] = ()
    metric: Metric = ACCURACY
    margin: float = ACCURACY.margin
    target_score: float | None = None
    inferences_per_day: float | None = None
    retrainings_per_year: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    tests: Mapping[tuple[str, int], FinalTest] = field(default_factory=dict)
    tuning: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=TUNING_COLUMNS))

    def __post_init__(self) -> None:
        """Refuse tables that would silently give a wrong figure."""
        for name in ("runs", "curves"):  # of an older version, where every score was an accuracy
            object.__setattr__(self, name, getattr(self, name).rename(columns=RENAMED))
        _require(self.runs, RUN_COLUMNS, "runs")
        _require(self.curves, CURVE_COLUMNS, "curves")
        _require(self.phases, PHASE_COLUMNS, "phases")
        _require(self.attempts, ATTEMPT_COLUMNS, "attempts")
        _require(self.tickets, TICKET_COLUMNS, "tickets")
        _require(self.places, PLACE_COLUMNS, "places")
        _require(self.hours, HOUR_COLUMNS, "hours")
        _require(self.tuning, [*TUNING_COLUMNS], "tuning")
        scored: list[str] = []
        if "metric" in self.runs:
            scored = self.runs["metric"].dropna().unique().tolist()
        if set(scored) - {self.metric.name}:
            raise ValueError(
                f"runs: scored by {', '.join(scored)}, not by {self.metric.name} alone"
            )
        finished = _finished(self.runs)
        twice = finished[finished.duplicated(["arm", "seed"])]
        if len(twice):
            first = twice.iloc[0]
            raise ValueError(
                f"runs: arm '{first['arm']}' has more than one finished run with seed "
                f"{first['seed']}; give arms that differ a label of their own"
            )

    @cached_property
    def finished(self) -> pd.DataFrame:
        """The runs that ended well; only these enter a mean."""
        return _finished(self.runs)

    @property
    def telling(self) -> pd.DataFrame:
        """The runs that show how energy was measured: the finished ones, or all if none is."""
        finished = self.finished
        return finished if len(finished) else self.runs

    @cached_property
    def arms(self) -> list[str]:
        """Every arm: the baseline first, others as they appear, the levels of a method in order."""
        seen = [str(arm) for arm in dict.fromkeys(self.runs["arm"])]
        baseline = self.baseline_arm
        others = arm_groups(arm for arm in seen if arm != baseline)
        first = [] if baseline is None else [baseline]
        return [*first, *(arm for group in others for arm in group.arms)]

    @cached_property
    def finished_arms(self) -> list[str]:
        """The arms with at least one finished run."""
        done = set(self.finished["arm"])
        return [arm for arm in self.arms if arm in done]

    @cached_property
    def baseline_arm(self) -> str | None:
        """The label of the baseline's arm, or None if the study has no such arm."""
        if (self.runs["arm"] == self.baseline).any():
            return self.baseline
        labels = list(dict.fromkeys(self.runs.loc[self.runs["method"] == self.baseline, "arm"]))
        return str(labels[0]) if len(labels) == 1 else None

    def by_seed(self, arm: str, column: str) -> dict[int, float]:
        """One value per finished run of an arm, keyed by seed, in the column's own unit."""
        rows = self.finished_of(arm)
        return {int(s): float(v) for s, v in zip(rows["seed"], rows[column], strict=True)}

    def finished_of(self, arm: str) -> pd.DataFrame:
        """The finished runs of one arm."""
        return self._finished_by_arm.get(arm, self.finished[:0])

    @cached_property
    def _finished_by_arm(self) -> dict[str, pd.DataFrame]:
        return {str(arm): rows for arm, rows in self.finished.groupby("arm", sort=False)}

    def tested(self, arm: str) -> dict[int, FinalTest]:
        """What each finished run of an arm found on the test set, by seed."""
        scores = self.by_seed(arm, "test_score")
        return {
            seed: self.tests.get((arm, seed), FinalTest(score, metric=self.metric))
            for seed, score in scores.items()
        }

    @property
    def rule(self) -> UntilDecided | None:
        """How the study adds seeds; None if it lists them."""
        return rule_of(self.settings)

    @property
    def trials(self) -> int:
        """How many trials of each arm competed at first; 0 if the study tunes nothing."""
        tuning = self.settings.get("tuning", {})
        return int(tuning.get("trials", 0)) if len(self.tuning) else 0

    @property
    def tuned_keys(self) -> list[str]:
        """The keys of the recipe that were tuned."""
        return [str(column) for column in self.tuning if column not in TUNING_COLUMNS]

    def median_seed(self, arm: str) -> int:
        """The seed of the arm's finished run whose energy is the median (the lower of two).

        Raises:
            ValueError: The arm has no finished run.
        """
        rows = self.finished_of(arm).sort_values(["energy_j", "seed"])
        if rows.empty:
            raise ValueError(f"{arm} has no finished run")
        return int(rows["seed"].iloc[(len(rows) - 1) // 2])

    def of_finished(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of `curves` or `phases` that belong to finished runs."""
        return table.merge(self.finished[["arm", "seed"]], on=["arm", "seed"], how="inner")


def _finished(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["status"] == "done"]


def _require(table: pd.DataFrame, columns: list[str], name: str) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"{name}: missing column {', '.join(missing)}")


def study_results(tables: Tables) -> StudyResults:
    """Everything that a report shows of one study."""
    results = plain_results(tables)
    seeds = {arm: results.median_seed(arm) for arm in results.finished_arms}
    return replace(
        results,
        hours=pd.DataFrame(_hours(tables, results), columns=HOUR_COLUMNS),
        close_ups={
            arm: found
            for arm, seed in seeds.items()
            if (found := _close_up(tables.folder(arm, seed), seed)) is not None
        },
    )


def plain_results(tables: Tables) -> StudyResults:
    """All that verdicts rest on: without runs in detail and carbon by the hour, which take time."""
    return StudyResults(
        study=tables.study,
        runs=tables.runs,
        curves=tables.curves,
        phases=tables.phases,
        baseline=tables.baseline,
        attempts=tables.attempts,
        tickets=tables.tickets,
        places=pd.DataFrame(tables.carbon.places(), columns=PLACE_COLUMNS),
        claims=asked_claims(tables, tables.report.claims),
        decomposition=_decomposition(tables),
        metric=tables.metric,
        margin=tables.report.margin_of(tables.metric),
        target_score=tables.report.target_score,
        inferences_per_day=tables.report.inferences_per_day,
        retrainings_per_year=tables.report.retrainings_per_year,
        tests=tables.tested,
        settings=tables.settings,
        tuning=tables.tuning,
    )


def _close_up(folder: RunFolder, seed: int) -> CloseUp | None:
    """A run in detail; None if its records are damaged where only the detail needs them."""
    try:
        return close_up(folder, seed)
    except Exception:  # noqa: BLE001 - records from anywhere: the rest of the report stands
        return None


def asked_claims(tables: Tables, claims: Iterable[Claim]) -> tuple[AskedClaim, ...]:
    """Claims with the labels of the arms that they are about.

    Raises:
        UsageError: One has a bound in a unit that is not the metric's.
    """
    return tuple(
        AskedClaim(
            text=claim.text,
            source=claim.source,
            arm=tables.arm(claim.arm),
            against=tables.arm(claim.against),
            energy_at_most=claim.energy_at_most,
            difference_bound=claim.bound_of(tables.metric),
            scale=claim.scale,
        )
        for claim in claims
    )


def _decomposition(tables: Tables) -> tuple[Stage, ...]:
    asked = tables.report.decomposition
    if asked is None:
        return ()
    steps = [Stage(step.factor, tables.arm(step.arm)) for step in asked.steps]
    return (Stage("", tables.arm(asked.start)), *steps)


def _hours(tables: Tables, results: StudyResults) -> list[dict[str, object]]:
    """The factor at each hour for a run as long as the arm's are on average."""
    rows: list[dict[str, object]] = []
    for arm in results.finished_arms:
        duration_s = float(pd.Series(results.by_seed(arm, "duration_s")).mean())
        rows += [{"arm": arm} | row for row in tables.carbon.hours(duration_s)]
    return rows
