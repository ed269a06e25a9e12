"""A pilot takes some seconds on any device, and its interval covers what it missed."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

import harness.training.step
from harness.pruning.batch import Batch
from harness.results.forecast import Forecast, Pilot, piloted
from harness.runner.pilot import CHUNK_S, CHUNKS, Growing, Steady, pilot
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.workloads.resident import Resident

FULL = 512
SAMPLES = 1100
"""Two whole batches an epoch, and a smaller one."""
SOURCE = Resident(torch.zeros(SAMPLES, 1, 2, 2), torch.zeros(SAMPLES, dtype=torch.int64))


def dense_on_digits() -> RunSpec:
    study = Study(
        name="dense",
        seeds=[0],
        workload={"data": "digits", "model": "vgg_small"},
        training={"batch_size": 64},
        energy={"meters": ["estimate"]},
        methods={"dense": {}},
    )
    (spec,) = expand(study, Registry.discover())
    return spec


class Device:
    """A device on a clock of its own: a step takes `step_s`, and `sample_s` for each sample."""

    def __init__(self, step_s: float, sample_s: float) -> None:
        self._step_s = step_s
        self._sample_s = sample_s
        self._now_s = 0.0
        self.sizes: list[int] = []

    def now_ns(self) -> int:
        return round(self._now_s * 1e9)

    def work_on(self, source: Growing | Steady) -> float:
        """Take an epoch's batches; how long that took, in seconds."""
        start_s = self._now_s
        for batch in source.epoch(FULL, seed=0):
            self.sizes.append(len(batch.targets))
            self._now_s += self._step_s + self._sample_s * len(batch.targets)
        return self._now_s - start_s


@pytest.mark.parametrize("sample_s", [1e-5, 1e-3, 3e-3, 0.01, 0.1, 1.0, 20.0])
def test_however_slow_the_device_time_is_bounded(sample_s: float) -> None:
    limit_s = 15.0
    device = Device(sample_s, sample_s)
    growing = Growing(SOURCE, device.now_ns, limit_s, FULL)
    took_s = device.work_on(growing)
    steady = Steady(SOURCE, device.now_ns, growing.left_s, growing.size)
    steady.chunks = [chunk for chunk in growing.chunks[-1:] if chunk.duration_s >= CHUNK_S]
    took_s += device.work_on(steady)
    smallest_s = sample_s * 3
    assert took_s <= max(limit_s, smallest_s) + 1e-6
    assert 1 <= len(steady.chunks) <= CHUNKS
    assert SAMPLES % FULL not in device.sizes, "the smaller last batch is nobody's"
    assert device.sizes == sorted(device.sizes)
    if sample_s < 2e-3:
        assert (steady.size, len(steady.chunks)) == (FULL, CHUNKS)


def test_where_time_runs_out_the_interval_holds_what_whole_batches_cost() -> None:
    """A step has a cost of its own, which small steps overrate for a sample."""
    device = Device(step_s=0.2, sample_s=0.1)
    growing = Growing(SOURCE, device.now_ns, 15.0, FULL)
    device.work_on(growing)
    assert growing.size < FULL
    assert growing.drift is not None
    said_s, true_s = growing.chunks[-1].sample_s, 0.1 + 0.2 / FULL
    assert said_s * (1 - growing.drift) < true_s < said_s


def test_a_wider_interval_says_why() -> None:
    def planned(**more: Any) -> Forecast:
        steps = (1.0, 2.0, 3.0)
        of = Pilot(steps, steps, 0.0, 0.0, frozenset({"measured"}), 0, 0.0, **more)
        return piloted(Forecast("dense", runs=1, left=1), of, epochs=10)

    def width(forecast: Forecast) -> float | None:
        assert forecast.time_s is not None
        return forecast.time_s.half_width

    whole, cut = planned(), planned(cut_short="1 s allowed 3 steps", drift=0.5)
    assert width(cut) == pytest.approx((width(whole) or 0) + 0.5 * 20)
    assert (whole.cut_short, cut.cut_short) == (None, "1 s allowed 3 steps")
    assert width(planned(cut_short="1 s allowed 1 step", drift=None)) is None


def test_a_pilot_of_slow_steps_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole batches of these would take six seconds a step."""
    rule = harness.training.step.mean_loss
    sizes = []

    def slow(logits: Tensor, labels: Tensor, *more: Any) -> Tensor:
        sizes.append(len(labels))
        time.sleep(0.1 * len(labels))
        return rule(logits, labels, *more)

    monkeypatch.setattr(harness.training.step, "mean_loss", slow)
    spec = dense_on_digits()
    found = pilot(spec, train_s=1.5, evaluate_s=0.5)
    assert sum(sizes) * 0.1 < 1.5 + 0.5
    assert max(sizes) < 64
    assert found.cut_short is not None
    assert f"samples instead of {64}" in found.cut_short
    samples = 1257  # of digits' training part
    assert found.epoch_s[0] > 0.1 * samples * 0.9


@pytest.mark.parametrize(("chosen", "used"), [({}, 1), ({"threads": 3, "one_if_small": False}, 3)])
def test_a_pilot_uses_as_many_threads_as_a_run(
    chosen: dict[str, Any], used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = harness.training.step.mean_loss
    seen = set()

    def noted(*arguments: Any) -> Tensor:
        seen.add(torch.get_num_threads())
        return rule(*arguments)

    monkeypatch.setattr(harness.training.step, "mean_loss", noted)
    spec = dense_on_digits()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pilot(spec, train_s=0.5, evaluate_s=0.5, **chosen)
        assert seen == {used}
        assert torch.get_num_threads() == 2, "the next pilot begins as this one"
    finally:
        torch.set_num_threads(before)


def test_batches_are_whole_and_as_the_source_gives_them() -> None:
    pixels = torch.arange(SAMPLES * 4, dtype=torch.float32).reshape(SAMPLES, 1, 2, 2)
    source = Resident(pixels, torch.zeros(SAMPLES, dtype=torch.int64))
    steady = Steady(source, Device(0.0, 1e-3).now_ns, 10.0, FULL)
    ours = [*islice(steady.epoch(FULL, seed=4), 3)]
    expected: list[Batch] = [*source.epoch(FULL, seed=4)][:2] + [*source.epoch(FULL, seed=5)][:1]
    assert all(len(batch.targets) == FULL for batch in ours)
    for mine, theirs in zip(ours, expected, strict=True):
        assert torch.equal(mine.inputs, theirs.inputs)
