"""What a method's network draws over its lifetime: its recipe, then N inferences.

    energy(N) = recipe + N · (inference + recipe · retrainings / inferences)

The second part of the bracket, with both numbers a year, is each inference's share of running the
whole recipe again; it is 0 where networks are not retrained. An inference is what the command
`inference` measured. Where it did not, the one pass over the test set stands for it: an estimate,
since that ran in the training framework, at one batch size.

Two devices share no gain. Trained on one and used on another, recipe and inference are each wrong
by a factor of their own, which cancels neither in their sum nor in the number of inferences at
which two lines cross; on one device it is a single factor, which moves no crossing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.energy.cpu_time import ratio_doubt
from harness.results.energy_source import EnergyKinds
from reports.statistics.energy_kind import standing_of
from reports.statistics.energy_ratio import Board, boards_of, threads_of, widened
from reports.statistics.once import once
from reports.statistics.statistics import Interval, energy_interval, paired_ratio

if TYPE_CHECKING:
    from reports.data import StudyResults

DAYS_PER_YEAR = 365.25
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Inferences:
    """What an inference of an arm's networks draws, and how that is known.

    Attributes:
        energy_j: By seed, without a share of retraining.
        how: Runtime, device, threads, batch and host of each way in which they were measured;
            empty for the pass over the test set.
        kinds: Measured or estimated.
        trained_on: The device, and its host.
        used_on: The same of the inferences.
        elsewhere: Whether those are two devices, though they may be of one name.
        training_gain: What the sensors' gain may add to the recipe, as a share (95 %); 0 where the
            same device was trained on and used, NaN if unknown.
        gain: The same for inferences; of estimates also what unequal numbers of threads may add.
    """

    energy_j: BySeed
    how: tuple[str, ...] = ()
    kinds: EnergyKinds = field(default_factory=EnergyKinds)
    trained_on: str = ""
    used_on: str = ""
    elsewhere: bool = False
    training_gain: float = 0.0
    gain: float = 0.0

    @property
    def measured(self) -> bool:
        """Whether they were measured by themselves."""
        return bool(self.how)

    @property
    def doubt(self) -> float:
        """How far recipe over inference may be off, as a share: what cancels in neither."""
        return math.hypot(self.training_gain, self.gain)


@dataclass(frozen=True)
class Lifetime:
    """The energy of one arm over the number of its inferences.

    Attributes:
        arm: The arm.
        recipe_j: By seed, without lost work.
        inferences: What each of them draws.
        recipes: Share of a further recipe that each bears.
    """

    arm: str
    recipe_j: BySeed
    inferences: Inferences
    recipes: float = 0.0

    def energy_j(self, count: float) -> Interval:
        """After a number of inferences: its mean over seeds, with a band."""
        used = self.inferences
        found = energy_interval(self.totals_j(count).values())
        share = self.share_of_inferences(count)
        return widened(found, math.hypot((1 - share) * used.training_gain, share * used.gain))

    def totals_j(self, count: float) -> BySeed:
        """After a number of inferences, by seed."""
        each_j = self.inferences.energy_j
        return {
            seed: recipe_j * (1 + count * self.recipes) + count * each_j[seed]
            for seed, recipe_j in self.recipe_j.items()
            if seed in each_j
        }

    def share_of_inferences(self, count: float) -> float:
        """How much of that is not training; 0 where nothing is known."""
        totals_j = self.totals_j(count)
        whole_j = math.fsum(totals_j.values())
        used_j = math.fsum(count * self.inferences.energy_j[seed] for seed in totals_j)
        return used_j / whole_j if whole_j > 0 else 0.0


def lifetime_ratio(ours: Lifetime, theirs: Lifetime, count: float) -> Interval:
    """One arm's energy after a number of inferences over another's, seed by seed.

    Where trained and used on two devices, what their gains add is as large as the two differ in how
    much of their energy is inference.
    """
    ratio = paired_ratio(ours.totals_j(count), theirs.totals_j(count))
    apart = abs(ours.share_of_inferences(count) - theirs.share_of_inferences(count))
    return widened(ratio, apart * max(ours.inferences.doubt, theirs.inferences.doubt))


@once
def lifetimes(results: StudyResults) -> list[Lifetime]:
    """The arms whose inferences were measured in the same way as the baseline's, and it."""
    if results.baseline_arm is None:
        return []
    how = measured_inferences(results, results.baseline_arm).how
    found = [
        lifetime(results, arm, measured_inferences(results, arm)) for arm in results.finished_arms
    ]
    return [each for each in found if len(how) == 1 and each.inferences.how == how]


def inferences_of(results: StudyResults, arm: str, baseline: str) -> tuple[Inferences, Inferences]:
    """Those of an arm and of the baseline: measured where both are, else the passes over data."""
    ours, theirs = (measured_inferences(results, each) for each in (arm, baseline))
    if ours.energy_j.keys() & theirs.energy_j.keys():
        return ours, theirs
    return of_test_pass(results, arm), of_test_pass(results, baseline)


def lifetime(results: StudyResults, arm: str, inferences: Inferences) -> Lifetime:
    """An arm's recipe together with what its inferences draw."""
    lost = numbers(results, arm, "lost_j")
    recipe = {
        seed: energy_j - lost.get(seed, 0.0)
        for seed, energy_j in numbers(results, arm, "energy_j").items()
    }
    return Lifetime(arm, recipe, inferences, recipes_per_inference(results))


def recipes_per_inference(results: StudyResults) -> float:
    """How much of a further recipe each inference bears."""
    if results.inferences_per_day is None:
        return 0.0
    return results.retrainings_per_year / inferences_per_year(results)


def inferences_per_year(results: StudyResults) -> float:
    """How many the study says there are; NaN if it does not."""
    return (results.inferences_per_day or math.nan) * DAYS_PER_YEAR


def measured_inferences(results: StudyResults, arm: str) -> Inferences:
    """What the command `inference` found of an arm's networks; no energies where it was not run."""
    energy_j = {s: each for s, each in numbers(results, arm, "inference_j").items() if each > 0}
    if not energy_j:
        return Inferences({})
    finished = results.finished_of(arm)
    runs = finished[finished["seed"].isin(list(energy_j))]
    rows = runs.to_dict("records")
    attempts = results.attempts[results.attempts["arm"] == arm]
    trained = boards_of(runs, attempts)
    used: dict[int, Board] = {
        int(row["seed"]): (_text(row, "inference_host"), _text(row, "inference_gpus"))
        for row in rows
    }
    training_gain = gain = 0.0
    if trained != used:
        training_gain = _share(runs, "gain_j", "energy_j")
        gain = _share(runs, "inference_gain_j", "inference_j")
    elif standing_of(runs).estimated:
        doubt = ratio_doubt(threads_of(runs), _mean(runs, "inference_threads"))
        gain = 0.0 if math.isnan(doubt) else doubt
    return Inferences(
        energy_j,
        tuple(sorted({_how(row) for row in rows})),
        EnergyKinds.union(EnergyKinds.of_source(row.get("inference_source")) for row in rows),
        _named(trained, (_text(row, "energy_device") for row in rows)),
        _named(used, (_text(row, "inference_device") for row in rows)),
        trained != used,
        training_gain,
        gain,
    )


def of_test_pass(results: StudyResults, arm: str) -> Inferences:
    """What a sample drew in the one pass over the test set."""
    energy_j = numbers(results, arm, "test_j")
    samples = numbers(results, arm, "test_samples")
    return Inferences(
        {s: energy_j[s] / samples[s] for s in energy_j.keys() & samples.keys() if samples[s] > 0}
    )


def numbers(results: StudyResults, arm: str, column: str) -> dict[int, float]:
    """The known values of a column by seed; none where older results lack it."""
    rows = results.finished_of(arm)
    if column not in rows:
        return {}
    known = pd.to_numeric(rows[column], errors="coerce").astype(float)
    return {
        int(seed): float(value)
        for seed, value in zip(rows["seed"], known, strict=True)
        if math.isfinite(value)
    }


def _text(row: Mapping[Any, Any], column: str) -> str:
    value = row.get(column)
    return "" if pd.isna(value) else str(value).strip()


def _how(row: Mapping[Any, Any]) -> str:
    """Such as "onnxruntime on cpu, threads 1, batch 1, at workstation"."""
    runtime, device, threads, batch, host = (
        _text(row, f"inference_{each}").removesuffix(".0")
        for each in ("runtime", "device", "threads", "batch", "host")
    )
    at = f", at {host}" if host else ""
    return f"{runtime} on {device}, threads {threads}, batch {batch}{at}"


def _named(boards: Mapping[int, Board], devices: Iterable[str]) -> str:
    """Such as "NVIDIA H200 at node-1"."""
    hosts = sorted({host for host, _ in boards.values()} - {""})
    at = f" at {', '.join(hosts)}" if hosts else ""
    return f"{', '.join(sorted(set(devices) - {''}))}{at}"


def _mean(runs: pd.DataFrame, column: str) -> float:
    if column not in runs:
        return math.nan
    return float(pd.to_numeric(runs[column], errors="coerce").mean())


def _share(runs: pd.DataFrame, part: str, whole: str) -> float:
    return _mean(runs, part) / _mean(runs, whole)
