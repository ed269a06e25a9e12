"""Every number of the recorded study's tables, worked out anew from its raw records.

Nothing of the project's own code is used for that: JSON, pandas and scipy. Energies come from the
readings by plain interpolation, and then statistics from the tables of runs and of evaluations, so
that a statistic is held to many digits however a joule was split at a border.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

from harness.results.table import Tables
from reports.data import study_results
from reports.statistics.summary import summarise
from reports.tables import gallery
from reports.tables.formats import as_csv
from reports.tables.headline import headline
from tests.conftest import REPOSITORY

STUDY = REPOSITORY / "benchmarks" / "quick-cpu"
WHOLE_J, WINDOW_J = 0.05, 0.2
"""What may differ where a border between two readings is given its joules in another way: CPU time
comes in steps of 0.04 J, of which a border is known to a few."""
KEY = ["arm", "seed"]


@dataclass
class Raw:
    """One run's raw records: events, and the cumulative energy of its sensors."""

    events: list[dict[str, Any]]
    curves: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def named(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]

    def joules(self, start_ns: int, end_ns: int) -> float:
        return math.fsum(
            np.interp(end_ns, times, sums) - np.interp(start_ns, times, sums)
            for times, sums in self.curves
        )

    def windows(self) -> list[tuple[str, int, int]]:
        start, end = self.events[0]["time_ns"], self.events[-1]["time_ns"]
        borders = [
            ("overhead", start),
            *((e["window"], e["time_ns"]) for e in self.named("border")),
        ]
        ends = [time for _, time in borders[1:]] + [end]
        return [(name, time, until) for (name, time), until in zip(borders, ends, strict=True)]


def read(folder: Path) -> Raw:
    lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
    # Recorded in format 2, which called scores accuracies.
    raw = Raw([json.loads(line.replace('_accuracy":', '_score":')) for line in lines])
    assert len(raw.named("attempt")) == 1, "the recorded study was not interrupted"
    trace = pd.read_parquet(folder / "trace-1.parquet")
    sensors = json.loads(trace["text"].dropna().iloc[0])["sensors"]
    readings = trace[trace["sensor"].notna() & trace["value"].notna()]
    for number, of_sensor in readings.groupby("sensor"):
        times = of_sensor["time_ns"].to_numpy(dtype=float)
        values = of_sensor["value"].to_numpy(dtype=float)
        if sensors[int(number)]["quantity"] == "power":
            areas = np.diff(times) * (values[1:] + values[:-1]) / 2 * 1e-9
            values = np.concatenate([[0.0], np.cumsum(areas)])
        raw.curves.append((times, values))
    return raw


@pytest.fixture(scope="module")
def raw() -> dict[tuple[str, int], Raw]:
    found = {}
    for spec in sorted(STUDY.glob("runs/*/*/spec.json")):
        document = json.loads(spec.read_text("utf-8"))
        found[document["method"], document["seed"]] = read(spec.parent)
    assert len(found) == len(list(STUDY.glob("runs/*/*/spec.json"))) > 0
    return found


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    """Every table with numbers, as a report writes it, read back from its CSV file."""
    results = study_results(Tables(STUDY))
    made = [headline(summarise(results))]
    made += filter(None, (each(results) for each in (*gallery.FINDINGS, *gallery.DETAILS)))
    found = {table.name: pd.read_csv(io.StringIO(as_csv(table))) for table in made}
    plain = {"runs": results.runs, "curves": results.curves, "phases": results.phases}
    return found | plain


@pytest.fixture(scope="module")
def runs(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    runs = tables["runs"]
    assert (runs["status"] == "done").all()
    # One machine with one busy thread measured all: of what sensors add to a ratio, borders and
    # gaps are left (of an estimate, what other work there was meanwhile).
    assert runs["host"].nunique() == 1
    assert (runs["aliasing_j"] == 0).all()
    assert (runs["threads_in_use"] <= 1).all()
    return runs.set_index(KEY).sort_index()


def of(runs: pd.DataFrame, arm: str, column: str) -> np.ndarray:
    """One value a run of an arm, by ascending seed."""
    return runs.loc[arm, column].sort_index().to_numpy(dtype=float)


def t_half(values: Iterable[float], sure: float = 0.95) -> float:
    found = np.asarray(list(values))
    return float(stats.t.ppf((1 + sure) / 2, len(found) - 1) * stats.sem(found))


def log_ends(values: np.ndarray) -> tuple[float, float, float]:
    mean, half = values.mean(), t_half(values) / values.mean()
    return mean, mean * math.exp(-half), mean * math.exp(half)


def logit_ends(values: np.ndarray) -> tuple[float, float, float]:
    mean = values.mean()
    half = t_half(values) / (mean * (1 - mean))
    return (
        mean,
        special.expit(special.logit(mean) - half),
        special.expit(special.logit(mean) + half),
    )


def plain_ends(values: np.ndarray) -> tuple[float, float, float]:
    return values.mean(), values.mean() - t_half(values), values.mean() + t_half(values)


def ratio_ends(
    ours: np.ndarray, theirs: np.ndarray, *borders_j: np.ndarray, gaps: Iterable[float]
) -> tuple[float, float, float]:
    """With what the borders of both add, a share of each run, independent between runs.

    Gaps are a share of each side, the same in all of its runs.
    """
    low, high = stats.ttest_1samp(np.log(ours / theirs), 0).confidence_interval(0.95)
    shares = [
        (b / j).mean() / len(j) ** 0.5 for b, j in zip(borders_j, (ours, theirs), strict=True)
    ]
    half = math.hypot((high - low) / 2, math.log1p(math.hypot(*shares, *gaps)))
    mean = float(stats.gmean(ours / theirs))
    return mean, mean * math.exp(-half), mean * math.exp(half)


def gaps_of(runs: pd.DataFrame, *arms: str) -> list[float]:
    return [(of(runs, arm, "gap_j") / of(runs, arm, "energy_j")).mean() for arm in arms]


def three(row: pd.Series, column: str) -> list[float]:
    return [row[column], row[f"{column}_low"], row[f"{column}_high"]]


def same(found: Iterable[float], expected: Iterable[float], tolerance: float = 1e-9) -> None:
    assert list(found) == pytest.approx(list(expected), rel=tolerance, abs=1e-12, nan_ok=True)


class Lost:
    """The difference in accuracy of two arms, paired by seed, and by image where it is recorded."""

    def __init__(self, raw: dict[tuple[str, int], Raw], arm: str, against: str) -> None:
        seeds = sorted(s for name, s in raw if name == arm and (against, s) in raw)
        tests = [[raw[name, seed].named("result")[-1] for seed in seeds] for name in (arm, against)]
        ours, theirs = (np.array([each["test_score"] for each in side]) for side in tests)
        self.mean = float((ours - theirs).mean())
        self.n, self.images = len(seeds), tests[0][0]["test_samples"]
        one_image = 1 / self.n / self.images
        self.of_seeds = max(float(stats.sem(ours - theirs)), one_image)
        self.of_images = 0.0
        self.recorded = all("test_correct" in each for side in tests for each in side)
        if self.recorded:
            right = [np.array([self._bits(each) for each in side], dtype=float) for side in tests]
            columns = (right[0] - right[1]).mean(axis=0)
            squares = ((columns - columns.mean()) ** 2).sum() + 4
            self.of_images = math.sqrt(squares / (self.images - 1) / self.images)

    def _bits(self, result: dict[str, Any]) -> list[int]:
        packed = base64.b64decode(result["test_correct"])
        text = "".join(f"{byte:08b}" for byte in packed)[: self.images]
        assert text.count("1") / self.images == pytest.approx(result["test_score"])
        return [int(bit) for bit in text]

    def ends(self, sure: float = 0.95) -> tuple[float, float, float]:
        upper = (1 + sure) / 2
        half = math.hypot(
            stats.t.ppf(upper, self.n - 1) * self.of_seeds,
            stats.t.ppf(upper, self.images - 1) * self.of_images,
        )
        return self.mean, self.mean - half, self.mean + half

    def p(self, margin: float, end: int, sign: int) -> float:
        """The smallest one-sided level whose interval lies wholly on one side of −margin."""

        def beyond(log: float) -> float:
            return sign * (self.ends(1 - 2 * math.exp(log))[end] + margin)

        lowest, highest = math.log(1e-12), math.log(0.4999)
        if beyond(highest) <= 0:
            return 0.5
        return math.exp(optimize.brentq(beyond, lowest, highest)) if beyond(lowest) < 0 else 0.0


def test_runs_are_their_raw_records(raw: dict[tuple[str, int], Raw], runs: pd.DataFrame) -> None:
    assert set(runs.index) == set(raw)
    for key, run in raw.items():
        row, result, dense = runs.loc[key], run.named("result")[-1], run.named("dense")[-1]
        start, end = run.events[0]["time_ns"], run.events[-1]["time_ns"]
        assert row["duration_s"] == pytest.approx((end - start) * 1e-9)
        assert row["energy_j"] == pytest.approx(run.joules(start, end), abs=WHOLE_J)
        for column in ("test_score", "val_score", "test_samples", "parameters", "macs"):
            assert row[column] == result[column]
        assert row["density"] == result["density"]
        assert row["epochs_trained"] == result["epochs_trained"]
        assert (row["dense_parameters"], row["dense_macs"]) == (dense["parameters"], dense["macs"])
        shaped = max((event["time_ns"] for event in run.named("size")), default=0)
        before = [w for w in run.windows() if w[1] < shaped]
        searched = math.fsum(run.joules(begin, until) for _, begin, until in before)
        assert row["search_j"] == pytest.approx(searched, abs=WINDOW_J)
        epochs = [e["epochs_trained"] for e in run.named("epoch") if e["time_ns"] < shaped]
        assert row["search_epochs"] == max(epochs, default=0)
        tested = [
            run.joules(begin, until) for name, begin, until in run.windows() if name == "test"
        ]
        assert row["test_j"] == pytest.approx(sum(tested), abs=WINDOW_J)
        grams = float(re.findall(r"([\d.]+) g/kWh", row["carbon_basis"])[0])
        assert row["co2e_kg"] == pytest.approx(row["energy_j"] / 3.6e6 * grams / 1000)


def test_phases_and_curves_are_their_raw_records(
    raw: dict[tuple[str, int], Raw], runs: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> None:
    for key, run in raw.items():
        arm, seed = key
        phases, curve = (
            table[(table["arm"] == arm) & (table["seed"] == seed)]
            for table in (tables["phases"], tables["curves"])
        )
        windows = pd.DataFrame(run.windows(), columns=["phase", "start", "end"])
        spans = (windows["end"] - windows["start"]).groupby(windows["phase"]).sum() * 1e-9
        same(phases.set_index("phase")["duration_s"].sort_index(), spans.sort_index(), 1e-6)
        counts = windows.groupby("phase").size()
        for row in phases.to_dict("records"):
            own = windows[windows["phase"] == row["phase"]]
            joules = math.fsum(map(run.joules, own["start"], own["end"]))
            allowed = WINDOW_J * math.sqrt(counts[row["phase"]])
            assert row["energy_j"] == pytest.approx(joules, abs=allowed), (key, row["phase"])
        assert phases["energy_j"].sum() == pytest.approx(runs.loc[key, "energy_j"])
        evaluated = run.named("epoch")
        same(curve["val_score"], [each["val_score"] for each in evaluated])
        same(curve["epochs_trained"], [each["epochs_trained"] for each in evaluated])
        start = run.events[0]["time_ns"]
        spent = [run.joules(start, each["time_ns"]) for each in evaluated]
        assert list(curve["energy_j"]) == pytest.approx(spent, abs=WINDOW_J)


def test_the_headline(
    raw: dict[tuple[str, int], Raw], runs: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> None:
    table = tables["headline"].set_index("arm")
    margin = table["margin"].iloc[0]
    assert set(table.index) == set(runs.index.get_level_values("arm"))
    for arm, row in table.iterrows():
        own = runs.loc[arm]
        same(three(row, "score"), logit_ends(of(runs, arm, "test_score")))
        same(three(row, "energy_j"), log_ends(of(runs, arm, "energy_j")))
        for column in ("uncertainty_j", "co2e_kg", "duration_s", "parameters", "macs", "density"):
            assert row[column] == pytest.approx(own[column].astype(float).mean()), column
        same(
            (row["parameters_left"], row["macs_left"]),
            ((own[x] / own[f"dense_{x}"]).mean() for x in ("parameters", "macs")),
        )
        assert (row["n"], row["failures"]) == (len(own), 0)
        if arm == "dense":
            assert (row["verdict"], row["energy_ratio"]) == ("reference", 1.0)
            continue
        lost = Lost(raw, arm, "dense")
        same(three(row, "score_difference"), lost.ends())
        same(three(row, "verdict_difference"), lost.ends(row["verdict_confidence"]))
        assert row["test_samples"] == (lost.images if lost.recorded else 0)
        ratio = ratio_ends(
            *(
                of(runs, each, column)
                for column in ("energy_j", "border_j")
                for each in (arm, "dense")
            ),
            gaps=gaps_of(runs, arm, "dense"),
        )
        same(three(row, "energy_ratio"), ratio)
    arms = [arm for arm in table.index if arm != "dense"]
    for verdict, end, sign in (("non-inferior", 1, 1), ("worse", 2, -1)):
        p = {arm: Lost(raw, arm, "dense").p(margin, end, sign) for arm in arms}
        alone = {arm for arm in arms if p[arm] < 0.025}
        held, left = set(), len(arms)
        for arm in sorted(arms, key=p.__getitem__):
            if p[arm] >= 0.025 / left:
                break
            held.add(arm)
            left -= 1
        assert set(table.index[table["verdict"] == verdict]) == held
        assert set(table.index[table["verdict_alone"] == verdict]) == alone


def test_energy_to_an_accuracy(runs: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    table = tables["energy_to_score"].set_index("arm")
    reference = of(runs, "dense", "val_score").mean()
    levels = sorted({int(found[1]) for c in table if (found := re.match(r"to_(\d+)_percent", c))})
    assert levels
    for level in levels:
        joules = {}
        for arm in table.index:
            curves = tables["curves"][tables["curves"]["arm"] == arm]
            found = []
            for seed, curve in curves.groupby("seed"):
                shaped = curve[curve["epochs_trained"] > runs.loc[(arm, seed), "search_epochs"]]
                there = shaped[shaped["val_score"] >= level / 100 * reference - 1e-9]
                found.append(there.sort_values("order")["energy_j"].iloc[0])
            joules[arm] = np.array(found)
        for arm, row in table.iterrows():
            same(three(row, f"to_{level}_percent_energy_j"), log_ends(joules[arm]))
            if arm != "dense":
                borders_j = (of(runs, each, "border_j") for each in (arm, "dense"))
                gaps = gaps_of(runs, arm, "dense")
                ratio = ratio_ends(joules[arm], joules["dense"], *borders_j, gaps=gaps)
                same(three(row, f"to_{level}_percent_energy_ratio"), ratio)


def fieller(price: np.ndarray, saving: np.ndarray) -> tuple[float, float]:
    """The ratios that the t test of price − r · saving does not reject."""

    def rejected(ratio: float) -> float:
        return float(stats.ttest_1samp(price - ratio * saving, 0).pvalue) - 0.05

    best = price.mean() / saving.mean()
    low, high = (optimize.brentq(rejected, best, best * times) for times in (0.01, 100))
    return low, high


def test_break_even(runs: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    table = tables["break_even"].set_index("arm")
    dense_j, dense_epochs = of(runs, "dense", "energy_j"), of(runs, "dense", "epochs_trained")
    for arm, row in table.iterrows():
        energy, search = of(runs, arm, "energy_j"), of(runs, arm, "search_j")
        after = of(runs, arm, "epochs_trained") - of(runs, arm, "search_epochs")
        training = (energy - search) / after * dense_epochs
        per_sample = [
            of(runs, each, "test_j") / of(runs, each, "test_samples") for each in ("dense", arm)
        ]
        same(three(row, "training_j"), log_ends(training))
        same(three(row, "search_j"), log_ends(search))
        same(three(row, "saved_training_j"), plain_ends(dense_j - training))
        same(three(row, "recipe_above_dense_j"), plain_ends(energy - dense_j))
        same(three(row, "saved_sample_j"), plain_ends(per_sample[0] - per_sample[1]))
        for name, price, saving in (
            ("trainings", search, dense_j - training),
            ("inferences", energy - dense_j, per_sample[0] - per_sample[1]),
        ):
            if row[f"{name}_verdict"] == "after":
                times = row[f"{name}_to_break_even"]
                assert times == pytest.approx(price.mean() / saving.mean())
                low, high = fieller(price, saving)
                ends = [row[f"{name}_to_break_even_{end}"] for end in ("low", "high")]
                assert ends == pytest.approx([low, high], rel=1e-6)


def test_claims(
    raw: dict[tuple[str, int], Raw], runs: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> None:
    for _, row in tables["claims"].iterrows():
        sides = (row["arm"], row["against"])
        ratio = ratio_ends(
            *(of(runs, side, column) for column in ("energy_j", "border_j") for side in sides),
            gaps=gaps_of(runs, *sides),
        )
        lost = Lost(raw, row["arm"], row["against"]).ends()
        same(three(row, "energy_ratio"), ratio)
        same(three(row, "score_difference"), lost)
        parts = {(ratio[2] <= row["energy_ratio_at_most"], ratio[1] > row["energy_ratio_at_most"])}
        at_least = row["score_difference_bound"]
        if not math.isnan(at_least):
            parts.add((lost[1] >= at_least, lost[2] < at_least))
        violated, held = any(wrong for _, wrong in parts), all(right for right, _ in parts)
        expected = "not supported" if violated else "supported" if held else "inconclusive"
        assert row["verdict"] == expected


def test_every_run_and_attempt(runs: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    table = tables["every_run"].set_index(KEY).sort_index()
    for column in table.select_dtypes("number").columns:
        expected = pd.to_numeric(runs[column], errors="coerce")
        same(table[column], expected.astype(float))
