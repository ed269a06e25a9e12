"""Predicts time, energy and disk space of the remaining runs from finished runs of the same arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.results.energy_source import EnergyKinds
from harness.results.folder import RunFolder, StudyFolder
from harness.results.run_energy import Ledger
from harness.results.status import status_of
from harness.settings.run_spec import RunSpec

MAX_EXAMPLES = 4
"""At most this many finished runs of an arm are read; more would hardly improve the forecast."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Prediction:
    """A predicted sum over the remaining runs.

    Attributes:
        value: Its expectation.
        half_width: Half a 95 % prediction interval (Student's t over the runs it is based on,
            which must be like those to come); None if it is based on a single run.
    """

    value: float
    half_width: float | None


@dataclass(frozen=True)
class Forecast:
    """One arm: how many runs are left, and their predicted cost.

    Attributes:
        arm: Its label.
        runs: How many the study asks for.
        left: How many are not done.
        examples: How many finished runs it is based on; without any, the rest is None.
        time_s: Time worked on all remaining runs.
        energy_j: Their energy.
        kinds: Kinds of figure that the predicted energy is based on.
        disk_bytes: Size of their records.
        is_piloted: Whether it is based on a pilot on the dense network instead: methods that
            shrink it cost less, and ± is the scatter of its steps alone.
        cut_short: What the pilot had time for, if not all; ± is then wider.
    """

    arm: str
    runs: int
    left: int
    examples: int = 0
    time_s: Prediction | None = None
    energy_j: Prediction | None = None
    kinds: EnergyKinds = field(default_factory=EnergyKinds)
    disk_bytes: Prediction | None = None
    is_piloted: bool = False
    cut_short: str | None = None


@dataclass(frozen=True)
class Pilot:
    """The cost of a recipe, from a few seconds of training the dense network.

    Attributes:
        epoch_s: Time per epoch with its evaluations, extrapolated from each chunk of steps.
        epoch_j: Energy per epoch, likewise.
        once_s: Time that every run takes once: opening the data, compiling, the test.
        once_j: Energy of that.
        kinds: Kinds of figure that the energy is made of.
        state_bytes: Size of a checkpoint.
        trace_bytes_per_s: Growth of the raw readings.
        cut_short: What it had time for, if that was not whole batches and all chunks.
        drift: Share by which the cost per sample may differ in whole batches; None if unknown.
        steps: Steps per epoch.
    """

    epoch_s: tuple[float, ...]
    epoch_j: tuple[float, ...]
    once_s: float
    once_j: float
    kinds: EnergyKinds
    state_bytes: int
    trace_bytes_per_s: float
    cut_short: str | None = None
    drift: float | None = 0.0
    steps: int | None = None


@dataclass(frozen=True)
class _Cost:
    time_s: float
    energy_j: float
    kinds: EnergyKinds
    disk_bytes: float


def finished(folder: StudyFolder, specs: Iterable[RunSpec]) -> frozenset[str]:
    """Titles of the runs that are done."""
    return frozenset(spec.title for spec in specs if status_of(folder.run(spec)) == "done")


ArmOf = Callable[[RunSpec], str]
"""A name that all runs share that cost alike."""


def arm_of_run(spec: RunSpec) -> str:
    """The arm, of a study's runs."""
    return spec.arm


def forecast(
    folder: StudyFolder,
    specs: Sequence[RunSpec],
    done: frozenset[str],
    arm_of: ArmOf = arm_of_run,
) -> list[Forecast]:
    """The forecast of every arm, in the order in which arms first occur.

    Args:
        folder: Where finished runs are stored.
        specs: All runs of the study.
        done: Titles of those that are done.
        arm_of: Which runs cost alike.
    """
    arms: dict[str, list[RunSpec]] = {}
    for spec in specs:
        arms.setdefault(arm_of(spec), []).append(spec)
    return [_of_arm(folder, arm, of_arm, done) for arm, of_arm in arms.items()]


def piloted(arm: Forecast, pilot: Pilot, epochs: int) -> Forecast:
    """The forecast of an arm from a pilot.

    Args:
        arm: An arm without a finished run.
        pilot: The pilot of its recipe.
        epochs: How many epochs a run will train, as planned.
    """
    time_s = _extrapolated(pilot, pilot.epoch_s, pilot.once_s, epochs, arm.left)
    size = pilot.state_bytes * arm.left + pilot.trace_bytes_per_s * time_s.value
    return replace(
        arm,
        time_s=time_s,
        energy_j=_extrapolated(pilot, pilot.epoch_j, pilot.once_j, epochs, arm.left),
        kinds=pilot.kinds,
        disk_bytes=Prediction(size, None),
        is_piloted=True,
        cut_short=pilot.cut_short,
    )


def together(expected: Iterable[Prediction]) -> Prediction:
    """The sum of independent sums."""
    parts = list(expected)
    widths = [part.half_width for part in parts]
    known = [width for width in widths if width is not None]
    half_width = math.hypot(*known) if len(known) == len(widths) else None
    return Prediction(math.fsum(part.value for part in parts), half_width)


def in_step(expected: Iterable[Prediction]) -> Prediction:
    """The sum of sums that are based on the same runs, so that their errors add."""
    parts = list(expected)
    widths = [part.half_width for part in parts if part.half_width is not None]
    half_width = math.fsum(widths) if len(widths) == len(parts) else None
    return Prediction(math.fsum(part.value for part in parts), half_width)


def _of_arm(
    folder: StudyFolder, arm: str, specs: Sequence[RunSpec], done: frozenset[str]
) -> Forecast:
    examples = [spec for spec in specs if spec.title in done]
    left = len(specs) - len(examples)
    costs: list[_Cost] = []
    for spec in examples:
        run = folder.run(spec)
        if len(costs) < MAX_EXAMPLES and run.read_spec().key == spec.key:
            costs.append(_cost(run))
    if not costs:
        return Forecast(arm, len(specs), left)
    return Forecast(
        arm,
        len(specs),
        left,
        len(costs),
        _expected([cost.time_s for cost in costs], left),
        _expected([cost.energy_j for cost in costs], left),
        EnergyKinds.union(cost.kinds for cost in costs),
        _expected([cost.disk_bytes for cost in costs], left),
    )


def _cost(run: RunFolder) -> _Cost:
    ledger = Ledger(run)
    files = (path.stat().st_size for path in run.path.iterdir() if path.is_file())
    kinds = EnergyKinds(frozenset(sensor.energy_kind for sensor in ledger.sensors))
    return _Cost(ledger.duration_s, ledger.outer.energy_j, kinds, float(sum(files)))


def _extrapolated(
    pilot: Pilot, epoch: Sequence[float], once: float, epochs: int, runs: int
) -> Prediction:
    """The cost of `runs` runs of `epochs` epochs; the same error of the mean is in all of them."""
    mean = statistics.fmean(epoch)
    value = (once + epochs * mean) * runs
    if pilot.drift is None or len(epoch) < 2:
        return Prediction(value, None)
    error = _student(len(epoch)) * statistics.stdev(epoch) / math.sqrt(len(epoch))
    return Prediction(value, (error + pilot.drift * mean) * epochs * runs)


def _student(examples: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(examples - 1, (1 + CONFIDENCE) / 2))


def _expected(examples: Sequence[float], count: int) -> Prediction:
    """The sum over `count` further runs."""
    mean, number = statistics.fmean(examples), len(examples)
    if count == 0:
        return Prediction(0.0, 0.0)
    if number < 2:
        return Prediction(mean * count, None)
    spread = statistics.stdev(examples) * math.sqrt(count + count**2 / number)
    return Prediction(mean * count, _student(number) * spread)
