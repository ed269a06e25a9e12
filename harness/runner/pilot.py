"""A pilot: a few seconds of a recipe, to judge what runs will cost before there is one."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count, repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.energy.measurement import Measurement
from harness.energy.recorder.__main__ import sensors_in
from harness.energy.recorder.size import trace_bytes, weak_counters
from harness.energy.sensors.base import MeterSetup
from harness.energy.sensors.estimate import watts_per_thread
from harness.energy.trace import Trace, read_trace
from harness.energy.window_energy import measured
from harness.errors import UsageError
from harness.method.phases import Train
from harness.pruning.batch import Batch
from harness.results.energy_source import EnergyKinds
from harness.results.forecast import Pilot
from harness.runner.device_check import why_not
from harness.settings.run_spec import RunSpec
from harness.training.ahead import step_ahead, window_of
from harness.training.device import gpu_uuids, one_thread_if_small, open_device, wait_for
from harness.training.loop import score, train_epoch
from harness.training.state import TrainingState
from harness.utils.gpu_lock import lease
from harness.workloads.source import Batches, Choose, Source, evaluation_batch_size
from harness.workloads.workload import open_workload

_Epochs = Callable[[int], Iterable[Batches]]
"""Epochs in batches of a size, without end."""

TRAIN_S = 15.0
"""Training takes no longer than this, unless the smallest step does."""
EVALUATE_S = 5.0
"""Nor evaluation than this."""
CHUNKS = 5
CHUNK_S = 1.0
"""A chunk of steps lasts so long at least: several updates of any sensor."""
SMALLEST = 2
"""Samples of the first step; BatchNorm takes no fewer."""
GROWTH = 8
"""Of the batch, at most: a slow device shows while steps are short."""


def pilot(
    spec: RunSpec,
    train_s: float = TRAIN_S,
    evaluate_s: float = EVALUATE_S,
    *,
    threads: int | None = None,
    one_if_small: bool = True,
) -> Pilot:
    """Train and evaluate a run's dense network for some seconds, and extrapolate to an epoch.

    Steps begin with a few samples and grow to the recipe's batch while time allows; on a device
    that is too slow for that, the cost of a sample in smaller steps is extrapolated. Nothing is
    kept. Methods that make the network smaller cost less than that.

    Args:
        spec: The run.
        train_s: Limit of the time that training takes; the smallest step is always made.
        evaluate_s: Limit of the time that evaluation takes. Opening the data and compiling, which
            have no part of them, come on top.
        threads: CPU threads that the run may use; None for as many as torch takes.
        one_if_small: Whether the run uses one thread where the network is small.

    Raises:
        UsageError: This device cannot carry out the run.
        RunError: The data are damaged or do not fit the settings.
        MeasurementError: Another run uses the GPU, or a sensor is missing that was asked for.
    """
    recipe = spec.training
    device = open_device(deterministic=recipe.deterministic)
    if refused := why_not(spec, device):
        raise UsageError(refused)
    gpus = tuple(gpu_uuids(device))
    watts, note = watts_per_thread()
    energy = spec.energy.model_copy(update={"idle_s": 0.0})
    setup = MeterSetup(os.getpid(), gpus, watts, note)
    with ExitStack() as opened:
        opened.enter_context(lease(gpus, share=energy.share_gpu))
        opened.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads or torch.get_num_threads())
        scratch = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="energy-harness-")))
        trace = scratch / "trace.jsonl"
        with Measurement(trace, energy, setup) as running:

            def now_ns() -> int:
                wait_for(device)
                return running.mark()

            begun_ns = now_ns()
            workload = open_workload(spec.workload, recipe, device)
            # Uncompiled while the batch grows: each size would be compiled or captured again.
            eager = recipe.model_copy(update={"compile": False, "graphs": False})
            state = TrainingState(workload, eager, spec.seed, lambda name: scratch / name)
            if one_if_small:
                one_thread_if_small(state.network, workload.example, recipe.batch_size)
            once = [_Chunk(1, begun_ns, now_ns())]

            full = min(recipe.batch_size, len(workload.train))
            growing = Growing(workload.train, now_ns, train_s, full)
            state.workload = replace(workload, train=growing)
            train_epoch(state, Train("pilot", epochs=1), eager, spec.seed)
            if growing.size == full:
                begun_ns = now_ns()
                state = TrainingState(workload, recipe, spec.seed, lambda name: scratch / name)
                if window_of(state, recipe.precision, recipe):
                    step_ahead(state, recipe.precision, recipe)
                once.append(_Chunk(1, begun_ns, now_ns()))
            train = Steady(workload.train, now_ns, growing.left_s, growing.size)
            steady = recipe if growing.size == full else eager
            if not (steady.compile or steady.graphs):
                shortest_s = min(CHUNK_S, growing.left_s)
                train.chunks = [c for c in growing.chunks[-1:] if c.duration_s >= shortest_s]
            state.workload = replace(workload, train=train)
            train_epoch(state, Train("pilot", epochs=1), steady, spec.seed)

            largest = evaluation_batch_size(workload.example)
            # A forward pass is quicker than a step, so that at least two fit into the time.
            affordable = int(evaluate_s / 2 / train.chunks[-1].sample_s)
            part = min(largest, len(workload.validation), max(growing.size, affordable))
            validation = Steady(workload.validation, now_ns, evaluate_s, part, most=1)
            score(state, validation, recipe)
        found, sensors = read_trace(trace), sensors_in(trace)
    opening = [chunk.cost(found) for chunk in once]
    look = validation.chunks[0].cost(found)
    looks, last = len(workload.validation) / recipe.evaluate_epochs, len(workload.test)
    samples = len(workload.train)
    each = [chunk.cost(found) for chunk in train.chunks]
    return Pilot(
        epoch_s=tuple(step.time_s * samples + look.time_s * looks for step in each),
        epoch_j=tuple(step.energy_j * samples + look.energy_j * looks for step in each),
        once_s=sum(part.time_s for part in opening) + look.time_s * last,
        once_j=sum(part.energy_j for part in opening) + look.energy_j * last,
        kinds=EnergyKinds(frozenset(each.sensor.energy_kind for each in found.readings)),
        state_bytes=_bytes(state.state_dict()),
        trace_bytes_per_s=trace_bytes(sensors, energy.period_s, 1.0, weak_counters(found)),
        cut_short=_cut_short(train, full, train_s),
        steps=len(workload.train.epoch(recipe.batch_size, 0)),
        drift=0.0 if growing.size == full else growing.drift,
    )


@dataclass(frozen=True)
class _Cost:
    time_s: float
    energy_j: float


@dataclass(frozen=True)
class _Chunk:
    """A number of samples, and from when to when they were worked on."""

    samples: int
    start_ns: int
    end_ns: int

    @property
    def duration_s(self) -> float:
        """Of all samples together."""
        return (self.end_ns - self.start_ns) * 1e-9

    @property
    def sample_s(self) -> float:
        """Of one sample."""
        return self.duration_s / self.samples

    def cost(self, trace: Trace) -> _Cost:
        """Of one sample."""
        found = measured(trace, self.start_ns, self.end_ns)
        return _Cost(found.duration_s / self.samples, found.joules.energy_j / self.samples)


class _Timed(ABC):
    """A source whose batches have a size of its own choice, are timed, and end when time is up.

    Args:
        source: Where samples come from.
        now_ns: The time, once the device has done its work.
        limit_s: How long all batches together may take.
        size: How many samples a batch has.
    """

    def __init__(
        self, source: Source, now_ns: Callable[[], int], limit_s: float, size: int
    ) -> None:
        self._source = source
        self._now_ns = now_ns
        self.left_s = limit_s
        self.size = size
        self.chunks: list[_Chunk] = []

    def __len__(self) -> int:
        return len(self._source)

    def epoch(self, batch_size: int, seed: int, choose: Choose | None = None) -> Batches:
        """Augmented batches, as many as time allows."""
        if choose:
            raise ValueError("a pilot trains on all samples")

        def endless(size: int) -> Iterator[Batches]:
            return (self._source.epoch(size, seed + shift) for shift in count())

        return Batches(len(self._source.epoch(batch_size, seed)), lambda: self._timed(endless))

    def in_order(self, batch_size: int | None = None) -> Batches:
        """Plain batches, as many as time allows."""

        def endless(size: int) -> Iterator[Batches]:
            return repeat(self._source.in_order(size))

        return Batches(len(self._source.in_order(batch_size)), lambda: self._timed(endless))

    def sample(self, count: int, seed: int) -> Batch:
        """As the source's."""
        return self._source.sample(count, seed)

    @abstractmethod
    def _timed(self, epochs: _Epochs) -> Iterator[Batch]:
        """The batches; what takes their time fills `chunks`."""

    def _whole(self, epochs: _Epochs) -> Iterator[Batch]:
        # The last of an epoch may be smaller; a GPU would search for its algorithms.
        return (
            each for epoch in epochs(self.size) for each in epoch if len(each.targets) == self.size
        )

    def _steps(self, batches: Iterator[Batch], lasting_s: float) -> Iterator[Batch]:
        """Batches for at least `lasting_s`, at least one: one more chunk."""
        start_ns = end_ns = self._now_ns()
        steps, took_s = 0, 0.0
        while not steps or (took_s < lasting_s and took_s * (1 + 1 / steps) <= self.left_s):
            yield next(batches)
            steps += 1
            end_ns = self._now_ns()
            took_s = (end_ns - start_ns) * 1e-9
        self.chunks.append(_Chunk(steps * self.size, start_ns, end_ns))
        self.left_s -= self.chunks[-1].duration_s

    def _first_step(self, batches: Iterator[Batch], lasting_s: float) -> Iterator[Batch]:
        """A step, forgotten and repeated for `lasting_s` unless it is too long for that.

        The first step of a size chooses algorithms and fills caches, which no later one pays for.
        """
        yield from self._steps(batches, 0.0)
        if self.chunks[-1].duration_s < min(CHUNK_S, self.left_s):
            del self.chunks[-1]
            yield from self._steps(batches, lasting_s)


class Growing(_Timed):
    """Steps of more and more samples, up to `full` if two such steps fit into the time."""

    def __init__(
        self, source: Source, now_ns: Callable[[], int], limit_s: float, full: int
    ) -> None:
        super().__init__(source, now_ns, limit_s, min(SMALLEST, full))
        self._full = full

    @property
    def drift(self) -> float | None:
        """By which share the last growth changed the cost of a sample; None without any growth."""
        if len(self.chunks) < 2:
            return None
        return abs(self.chunks[-2].sample_s / self.chunks[-1].sample_s - 1)

    def _timed(self, epochs: _Epochs) -> Iterator[Batch]:
        while True:
            yield from self._first_step(self._whole(epochs), 0.0)
            missing = self._full / self.size
            room = min(GROWTH, missing, self.left_s / (2 * self.chunks[-1].duration_s))
            if missing == 1 or room < min(2, missing):
                return
            self.size = self._full if room == missing else self.size * int(room)


class Steady(_Timed):
    """Chunks of steps of one size, at least one, and `most` if they fit into the time."""

    def __init__(
        self,
        source: Source,
        now_ns: Callable[[], int],
        limit_s: float,
        size: int,
        most: int = CHUNKS,
    ) -> None:
        super().__init__(source, now_ns, limit_s, size)
        self._most = most

    def _timed(self, epochs: _Epochs) -> Iterator[Batch]:
        batches = self._whole(epochs)
        if not self.chunks:
            yield from self._first_step(batches, CHUNK_S)
        while len(self.chunks) < self._most:
            if max(chunk.duration_s for chunk in self.chunks) > self.left_s:
                return
            yield from self._steps(batches, CHUNK_S)


def _cut_short(train: Steady, full: int, train_s: float) -> str | None:
    """What there was time for, if it was not all."""
    if train.size == full and len(train.chunks) == CHUNKS:
        return None
    steps = sum(chunk.samples for chunk in train.chunks) // train.size
    of = "" if train.size == full else f" of {train.size} samples instead of {full}"
    return f"{train_s:g} s allowed {steps} {'step' if steps == 1 else 'steps'}{of}"


def _bytes(saved: Any) -> int:
    """How large the tensors within nested dicts and lists are."""
    if isinstance(saved, Tensor):
        return saved.nbytes
    if isinstance(saved, dict):
        return sum(map(_bytes, saved.values()))
    return sum(map(_bytes, saved)) if isinstance(saved, list) else 0
