"""A pilot: a few seconds of a recipe, to judge what runs will cost before there is one."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from torch import Tensor

from harness.batch import Batch
from harness.energy.measurement import Measurement, measured
from harness.energy.meter import MeterSetup
from harness.energy.meters.estimate import watts_per_thread
from harness.energy.recorder.size import trace_bytes
from harness.energy.trace import Trace, read_trace
from harness.gpu_lease import lease
from harness.phases import Train
from harness.results.forecast import Pilot
from harness.results.standing import kinds_of
from harness.spec import RunSpec
from harness.training.compiling import compile_ahead
from harness.training.device import gpu_uuids, open_device, wait_for
from harness.training.loop import accuracy, train_epoch
from harness.training.state import TrainingState
from harness.workloads.source import Batches, Source
from harness.workloads.workload import open_workload

CHUNKS = 5
CHUNK_S = 1.0
"""A chunk of steps lasts so long at least: several updates of any sensor."""
WARM_UP_STEPS = 3
"""The first steps choose algorithms and fill caches; no later one pays for that."""


def pilot(spec: RunSpec) -> Pilot:
    """Train and evaluate a run's dense network for some seconds, and tell what an epoch costs.

    Nothing is kept. Methods that make the network smaller cost less than that.

    Raises:
        RunError: The data are damaged or do not fit the settings.
        MeasurementError: Another run uses the GPU, or a sensor is missing that was asked for.
    """
    recipe = spec.training
    device = open_device(deterministic=recipe.deterministic)
    gpus = tuple(gpu_uuids(device))
    watts, note = watts_per_thread()
    energy = spec.energy.model_copy(update={"idle_s": 0.0})
    setup = MeterSetup(os.getpid(), gpus, watts, note)
    with ExitStack() as opened:
        opened.enter_context(lease(gpus, share=energy.share_gpu))
        scratch = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="energy-harness-")))
        trace = scratch / "trace.jsonl"
        with Measurement(trace, energy, setup) as running:

            def now_ns() -> int:
                wait_for(device)
                return running.mark()

            begun_ns = now_ns()
            workload = open_workload(spec.workload, recipe, device)
            state = TrainingState(workload, recipe, spec.seed, lambda name: scratch / name)
            if recipe.compile:
                compile_ahead(state, recipe.precision, recipe)
            opening = _Chunk(1, begun_ns, now_ns())
            train, validation = _Cut(workload.train, now_ns), _Cut(workload.validation, now_ns)
            state.workload = replace(workload, train=train)
            train_epoch(state, Train("pilot", epochs=1), recipe, spec.seed)
            accuracy(state, validation, recipe)
        found = read_trace(trace)
    once, look = opening.cost(found), validation.chunks[0].cost(found)
    looks = len(workload.validation.in_order()) / recipe.evaluate_epochs
    steps = len(workload.train.epoch(recipe.batch_size, spec.seed))
    each = [chunk.cost(found) for chunk in train.chunks]
    last = len(workload.test.in_order())
    return Pilot(
        epoch_s=tuple(step.time_s * steps + look.time_s * looks for step in each),
        epoch_j=tuple(step.energy_j * steps + look.energy_j * looks for step in each),
        once_s=once.time_s + look.time_s * last,
        once_j=once.energy_j + look.energy_j * last,
        kinds=frozenset().union(*(kinds_of(sensor.source) for sensor in _sensors(found))),
        state_bytes=_bytes(state.state_dict()),
        trace_bytes_per_s=trace_bytes(_sensors(found), energy.period_s, 1.0),
    )


@dataclass(frozen=True)
class _Cost:
    time_s: float
    energy_j: float


@dataclass(frozen=True)
class _Chunk:
    """So many batches, and from when to when they were worked on."""

    batches: int
    start_ns: int
    end_ns: int

    def cost(self, trace: Trace) -> _Cost:
        """Of one batch."""
        found = measured(trace, self.start_ns, self.end_ns)
        return _Cost(found.duration_s / self.batches, found.joules.energy_j / self.batches)


@dataclass
class _Cut:
    """A source that goes on for some chunks of time, and notes when they begin and end."""

    source: Source
    now_ns: Callable[[], int]
    chunks: list[_Chunk] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.source)

    def epoch(self, batch_size: int, seed: int) -> Batches:
        """Batches of one epoch after the other."""
        epochs = (self.source.epoch(batch_size, seed + shift) for shift in count())
        length = len(self.source.epoch(batch_size, seed))
        return Batches(length, lambda: self._timed(epochs, CHUNKS))

    def in_order(self, batch_size: int | None = None) -> Batches:
        """The same batches again and again."""
        whole = self.source.in_order(batch_size)
        return Batches(len(whole), lambda: self._timed((whole for _ in count()), 1))

    def sample(self, count: int, seed: int) -> Batch:
        """As the source's."""
        return self.source.sample(count, seed)

    def _timed(self, epochs: Iterator[Batches], chunks: int) -> Iterator[Batch]:
        batches = (batch for epoch in epochs for batch in epoch)
        for _ in range(WARM_UP_STEPS):
            yield next(batches)
        for _ in range(chunks):
            start_ns, passed = self.now_ns(), 0
            while time.monotonic_ns() - start_ns < CHUNK_S * 1e9:
                yield next(batches)
                passed += 1
            self.chunks.append(_Chunk(passed, start_ns, self.now_ns()))


def _sensors(trace: Trace) -> list[Any]:
    return [readings.sensor for readings in trace.readings]


def _bytes(saved: Any) -> int:
    """How large the tensors within nested dicts and lists are."""
    if isinstance(saved, Tensor):
        return saved.nbytes
    if isinstance(saved, dict):
        return sum(map(_bytes, saved.values()))
    return sum(map(_bytes, saved)) if isinstance(saved, list) else 0
