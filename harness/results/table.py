"""Derives the tidy tables of a study from raw records."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.results.carbon import StudyCarbon
from harness.results.column import Schema
from harness.results.final_test import FinalTest
from harness.results.fingerprint import Fingerprint, fingerprint_of, same_code
from harness.results.folder import RunFolder, StudyFolder
from harness.results.gather import gather
from harness.results.rows import Row
from harness.results.safe_csv import inert_csv
from harness.results.schema import ATTEMPTS, CURVES, PHASES, TICKETS, names
from harness.results.tuning import read_tuning, tuning_costs
from harness.settings.arm_selector import Selector
from harness.settings.metric import ACCURACY, Metric
from harness.settings.report import ReportSettings
from harness.settings.run_spec import RunSpec, short_labels_of
from harness.utils.atomic_write import write_atomically

if TYPE_CHECKING:
    import pandas as pd


def load(results: str | Path) -> pd.DataFrame:
    """The tidy table of a results folder, one row per run, derived from journals and traces.

    Args:
        results: The folder of one study, such as "results/quick".

    Returns:
        The columns that results/README.md describes; then facts and hyper-parameters.

    Raises:
        UsageError: There are no results, or they are of a newer version.
    """
    return Tables(Path(results)).runs


class Tables:
    """The tidy tables of a study, and the settings of its report.

    Attributes:
        study: The study's name.
        settings: The study as it was run.
        report: Settings of its report.
        baseline: The arm that others are compared with: dense, in the study's first variant.
        runs: One row per run.
        curves: One row per evaluation on validation data whose work was kept.
        phases: One row per run and window label; the energies of a run add up to its total.
        attempts: One row per attempt of a run.
        tickets: One row per channel mask that a method looked at.
        tuning: One row per trial that was begun to choose a recipe.
        metric: What the runs are scored by.
        tested: By arm and seed, the result of each finished run on the test set.
        carbon: Computes CO2e, where the study ran and elsewhere.
    """

    def __init__(self, path: Path) -> None:
        folder = StudyFolder(path)
        self._path = path
        self.settings: dict[str, Any] = folder.read_study()
        self.study: str = self.settings["name"]
        self.report = ReportSettings(**self.settings.get("report", {}))
        import pandas as pd  # after the check: it takes a second, an error message need not

        self.carbon = StudyCarbon(folder)
        self._specs = [(run, run.read_spec()) for run in folder.runs()]
        if not self._specs:
            raise UsageError(f"{path}: no runs here yet")
        made_of = _made_of(self._specs)
        self._labels = _distinct_labels(short_labels_of(spec for _, spec in self._specs), made_of)
        first = next(iter(self.settings.get("variants", {})), None)
        labelled = zip(self._specs, self._labels, strict=True)
        dense = (n for (_, spec), n in labelled if (spec.method, spec.variant) == ("dense", first))
        self.baseline = next(dense, "dense")
        labelled = zip(self._specs, self._labels, strict=True)
        read = gather([(run, spec, label) for (run, spec), label in labelled], self.carbon)
        self.runs = pd.DataFrame(
            [
                {**each.run, "code_hash": code, "data_hash": data}
                for each, (code, data) in zip(read, made_of, strict=True)
            ]
        )
        for name, column in self.runs.items():
            # A boolean that only some runs have stays boolean, with gaps, also in a file.
            if pd.api.types.infer_dtype(column, skipna=True) == "boolean":
                self.runs[name] = column.astype("boolean")

        of_arms = {spec.arm: n for (_, spec), n in zip(self._specs, self._labels, strict=True)}
        self.tuning = read_tuning(folder, self.settings, of_arms)
        costs = tuning_costs(self.tuning)
        for place, name in enumerate(("tuning_j", "tuning_uncertainty_j")):
            known = {arm: cost[place] for arm, cost in costs.items()}
            self.runs[name] = self.runs["arm"].map(known).astype(float)

        named = zip(self._specs, self._labels, read, strict=True)
        self.tested: dict[tuple[str, int], FinalTest] = {
            (label, spec.seed): rows.tested for (_, spec), label, rows in named if rows.tested
        }

        self._metrics = list(dict.fromkeys(each.metric for each in read if each.metric))

        def gathered(rows: Iterable[list[Row]], schema: Schema) -> pd.DataFrame:
            return pd.DataFrame(list(chain(*rows)), columns=names(schema))

        self.curves = gathered((each.curves for each in read), CURVES)
        self.phases = gathered((each.phases for each in read), PHASES)
        self.attempts = gathered((each.attempts for each in read), ATTEMPTS)
        # A search shorter than its window has no largest distance: still a column of numbers.
        self.tickets = gathered((each.tickets for each in read), TICKETS).astype(
            {"distance": float, "largest_distance": float}
        )

    @property
    def metric(self) -> Metric:
        """What the runs are scored by; accuracy if none has begun.

        Raises:
            UsageError: They are scored by different things, which cannot be compared.
        """
        first = self._metrics[0] if self._metrics else ACCURACY
        for other in self._metrics:
            if not other.comparable_with(first):
                name = other.name if other.name != first.name else "another metric of that name"
                raise UsageError(
                    f"{self._path}: some runs are scored by {first.name}, others by {name}, which "
                    "cannot be compared; give each a folder of its own"
                )
        return first

    def arm(self, words: str) -> str | None:
        """The label of the one arm that a selector matches; None if it matches none or several."""
        chosen = Selector.parse(words)
        labelled = zip(self._specs, self._labels, strict=True)
        found = {label for (_, spec), label in labelled if chosen.matches(spec)}
        return found.pop() if len(found) == 1 else None

    def folder(self, arm: str, seed: int) -> RunFolder:
        """The folder of a run.

        Raises:
            KeyError: There is no such run.
        """
        for (run, spec), label in zip(self._specs, self._labels, strict=True):
            if (label, spec.seed) == (arm, seed):
                return run
        raise KeyError((arm, seed))

    def save_runs(self, path: Path) -> None:
        """Write the table of runs as CSV and Parquet."""
        folder = StudyFolder(path)
        write_atomically(folder.table_csv, inert_csv(self.runs).encode())
        buffer = io.BytesIO()
        typed(self.runs).to_parquet(buffer, index=False)
        write_atomically(folder.table_parquet, buffer.getvalue())


def _made_of(specs: Sequence[tuple[RunFolder, RunSpec]]) -> list[tuple[str, str]]:
    """Hashes of the code and data of each run; empty where they are not recorded."""
    known: dict[str, list[Fingerprint]] = {}
    found = []
    for run, spec in specs:
        one = fingerprint_of(run)
        if one is None:
            found.append(("", ""))
            continue
        others = known.setdefault(spec.method, [])
        found.append((same_code(others, one).code_hash, one.data_hash))
        others.append(one)
    return found


def _distinct_labels(labels: Sequence[str], made_of: Sequence[tuple[str, str]]) -> list[str]:
    """Labels that differ for runs with different code or data."""
    codes: dict[str, set[str]] = {}
    data: dict[str, set[str]] = {}
    for label, (code_hash, data_hash) in zip(labels, made_of, strict=True):
        codes.setdefault(label, set()).add(code_hash)
        data.setdefault(label, set()).add(data_hash)
    return [
        label
        + (f" code={code_hash[:6]}" if code_hash and len(codes[label] - {""}) > 1 else "")
        + (f" data={data_hash[:6]}" if data_hash and len(data[label] - {""}) > 1 else "")
        for label, (code_hash, data_hash) in zip(labels, made_of, strict=True)
    ]


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with one type per column, as a typed file needs it.

    Methods may use one name for numbers and for text; as in the CSV file, all of it is then text.
    """
    import pandas as pd

    found = table.copy()
    for name, column in table.items():
        if pd.api.types.infer_dtype(column, skipna=True) in ("mixed", "mixed-integer"):
            found[name] = column.map(str, na_action="ignore")
    return found
