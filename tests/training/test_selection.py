"""Choosing samples by their losses: each rule beside one written out, and the loop around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import percentileofscore
from torch import Tensor

from harness import Select, SnapshotAt, Train
from harness.errors import RunError
from harness.runner.device_check import why_not
from harness.settings.run_spec import RunSpec
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from harness.training.graphs import refusal
from harness.training.loop import train_epoch
from harness.training.state import TrainingState, stream
from harness.workloads.resident import Resident
from harness.workloads.workload import Workload, open_workload
from methods.batch_dropping import drop_batches
from methods.info_batch import prune_below_mean
from methods.selective_backprop import keep_high_losses
from tests.training.test_own_phases import do
from tests.training.test_state import assert_same

RECIPE = Training(epochs=3, batch_size=32, schedule="cosine", label_smoothing=0.1)
SAMPLES = 205
NEVER = math.nan


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> Workload:
    choice = WorkloadChoice(data="digits", model="vgg_small", train_samples=SAMPLES)
    return open_workload(choice, RECIPE, torch.device("cpu"))


def new_state(workload: Workload, path: Path, recipe: Training = RECIPE) -> TrainingState:
    return TrainingState(workload, recipe, 0, lambda name: path / name)


def written_out_info_batch(losses: list[float], _batches: Any, seed: int) -> list[float]:
    """The official class: scores below their mean, that many of them kept, rescaled."""
    known = [loss for loss in losses if loss == loss]
    mean = sum(known) / len(known) if known else 0.0
    learned = [i for i, loss in enumerate(losses) if loss < mean]
    order = torch.randperm(len(learned), generator=seeded(seed)).tolist()
    kept = {learned[place] for place in order[: int(0.5 * len(learned))]}
    return [1.0 if i not in learned else 2.0 if i in kept else 0.0 for i in range(len(losses))]


def written_out_dropping(losses: list[float], batches: Any, seed: int) -> list[float]:
    drawn = torch.rand(len(batches), generator=seeded(seed)).tolist()
    skipped = {i for b, coin in zip(batches, drawn, strict=True) if coin < 0.5 for i in b}
    return [0.0 if i in skipped else 1.0 for i in range(len(losses))]


def written_out_selective(losses: list[float], batches: Any, seed: int) -> list[float]:
    """As "No Train No Gain" has it: scipy's percentile, to the power, a coin each."""
    [batch] = batches
    history = [loss for loss in losses if loss == loss]
    drawn = torch.rand(len(batch), generator=seeded(seed)).tolist()
    weights = [0.0] * len(losses)
    for i, coin in zip(batch, drawn, strict=True):
        weights[i] = float(coin < (percentileofscore(history, losses[i]) / 100) ** 2)
    return weights


WrittenOut = Callable[[list[float], Any, int], list[float]]
RULES: dict[str, tuple[Select, WrittenOut]] = {
    "info_batch": (Select(prune_below_mean(0.5)), written_out_info_batch),
    "batch_dropping": (Select(drop_batches(0.5)), written_out_dropping),
    "selective_backprop": (Select(keep_high_losses(2.0), looks=True), written_out_selective),
}


class SlowLoop:
    """The same training, sample by sample, as one would write it without the harness."""

    def __init__(self, state: TrainingState, source: Resident) -> None:
        self.network, self.optimizer, self.source = state.network, state.optimizer, source
        self.losses, self.count = [NEVER] * SAMPLES, 0

    def loss_of(self, i: int, outputs: Tensor) -> Tensor:
        return F.cross_entropy(outputs, self.source.labels[i : i + 1], label_smoothing=0.1)

    def step(self, numbers: list[int], weights: list[float], rate: float) -> None:
        self.network.train()
        outputs = self.network(self.source.images[numbers])
        each = [self.loss_of(i, outputs[k : k + 1]) for k, i in enumerate(numbers)]
        weighed = [weights[i] * loss for i, loss in zip(numbers, each, strict=True)]
        for i, loss in zip(numbers, each, strict=True):
            self.losses[i] = loss.item()
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        (torch.stack(weighed).sum() / len(numbers)).backward()
        self.optimizer.step()
        self.count += len(numbers)

    def look(self, batch: list[int]) -> None:
        self.network.eval()
        with torch.no_grad():
            for i in batch:
                self.losses[i] = self.loss_of(i, self.network(self.source.images[i : i + 1])).item()

    def chosen_before(self, epoch: int, written_out: WrittenOut) -> None:
        order = order_of(epoch)
        weights = written_out(self.losses, in_batches(order), stream(0, "select", epoch, 0))
        drawn = in_batches([i for i in order if weights[i]])
        drawn = drawn[:-1] if drawn and len(drawn[-1]) == 1 else drawn
        for number, batch in enumerate(drawn):
            self.step(batch, weights, rate_at(epoch + number / len(drawn)))

    def chosen_within(self, epoch: int, written_out: WrittenOut) -> None:
        drawn, gathered, rate, alike = in_batches(order_of(epoch)), [], 0.0, [1.0] * SAMPLES
        for number, batch in enumerate(drawn):
            rate = rate_at(epoch + number / len(drawn))
            self.look(batch)
            kept = written_out(self.losses, [batch], stream(0, "select", epoch, number))
            gathered += [i for i in batch if kept[i]]
            if len(gathered) >= 32:
                self.step(gathered[:32], alike, rate)
                gathered = gathered[32:]
        if len(gathered) > 1:
            self.step(gathered, alike, rate)


def order_of(epoch: int) -> list[int]:
    return torch.randperm(SAMPLES, generator=seeded(stream(0, "epoch", epoch))).tolist()


def in_batches(order: list[int]) -> list[list[int]]:
    return [order[start : start + 32] for start in range(0, len(order), 32)]


def rate_at(place: float) -> float:
    return RECIPE.learning_rate * 0.5 * (1 + math.cos(math.pi * place / 3))


@pytest.mark.parametrize("name", RULES)
def test_training_is_that_of_a_slow_loop_written_by_hand(
    name: str, digits: Workload, tmp_path: Path
) -> None:
    """Three epochs on 205 digits: weights, losses and counts."""
    select, written_out = RULES[name]
    ours = new_state(digits, tmp_path)
    for _ in range(3):
        train_epoch(ours, Train("train", epochs=3, select=select), RECIPE, seed=0)
    assert isinstance(digits.train, Resident)
    slow = SlowLoop(new_state(digits, tmp_path), digits.train)
    for epoch in range(3):
        (slow.chosen_within if select.looks else slow.chosen_before)(epoch, written_out)
    assert ours.samples_trained == slow.count < 3 * SAMPLES
    assert ours.losses is not None
    expected = torch.tensor(slow.losses)
    torch.testing.assert_close(ours.losses, expected, atol=1e-3, rtol=1e-3, equal_nan=True)
    for key, value in slow.network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[key], value, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_info_batch_keeps_the_sum_of_gradients_in_expectation(ratio: float) -> None:
    losses = torch.rand(40, generator=seeded(1))
    losses[3] = torch.nan
    learned = losses < losses.nanmean()
    drawn = torch.stack([prune_below_mean(ratio)(losses, [], seeded(seed)) for seed in range(2000)])
    assert (drawn[:, ~learned] == 1).all(), "what is not learned, or was never seen, stays"
    kept = int((1 - ratio) * int(learned.sum()))
    assert ((drawn[:, learned] > 0).sum(dim=1) == kept).all()
    expected = kept / int(learned.sum()) / (1 - ratio)  # 1 but for rounding
    each = drawn[:, learned].mean(dim=0)
    torch.testing.assert_close(each, torch.full_like(each, expected), atol=0.25, rtol=0)


@pytest.mark.parametrize("selectivity", [1.0, 2.0])
@pytest.mark.parametrize("tied", [False, True])
def test_selective_backprop_keeps_by_scipys_percentile(selectivity: float, tied: bool) -> None:
    losses = torch.rand(30, generator=seeded(2))
    if tied:
        losses = (losses * 4).round()
    losses[20:] = torch.nan
    rule, batch = keep_high_losses(selectivity), torch.arange(20)
    drawn = torch.stack([rule(losses, [batch], seeded(seed)) for seed in range(3000)])
    expected = [
        (percentileofscore(losses[:20].tolist(), float(loss)) / 100) ** selectivity
        for loss in losses[:20]
    ]
    found = drawn[:, :20].mean(dim=0)
    torch.testing.assert_close(found, torch.tensor(expected).float(), atol=0.05, rtol=0)
    assert (drawn[:, 20:] == 0).all()


@pytest.mark.parametrize("name", RULES)
def test_a_choice_resumes_bit_equal_from_a_checkpoint(
    name: str, digits: Workload, tmp_path: Path
) -> None:
    phase = Train("train", epochs=3, select=RULES[name][0])
    through, resumed = new_state(digits, tmp_path), new_state(digits, tmp_path)
    train_epoch(through, phase, RECIPE, seed=0)
    torch.save(through.state_dict(), tmp_path / "saved")
    resumed.load_state_dict(torch.load(tmp_path / "saved", weights_only=True))
    for state in (through, resumed):
        train_epoch(state, phase, RECIPE, seed=0)
    assert_same(through, resumed)


def test_choosing_all_alike_is_training_on_all(digits: Workload, tmp_path: Path) -> None:
    plain, chosen = new_state(digits, tmp_path), new_state(digits, tmp_path)
    recipe = RECIPE.model_copy(update={"accumulate": 2})
    train_epoch(plain, Train("train", epochs=1), recipe, seed=0)
    everything = Select(lambda losses, _batches, _generator: torch.ones_like(losses))
    loss = train_epoch(chosen, Train("train", epochs=1, select=everything), recipe, seed=0)
    assert plain.samples_trained == chosen.samples_trained == SAMPLES
    assert float(loss) > 0
    for key, value in plain.network.state_dict().items():
        torch.testing.assert_close(chosen.network.state_dict()[key], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("looks", [False, True])
def test_an_epoch_without_a_choice_has_no_loss_and_trains_nothing(
    looks: bool, digits: Workload, tmp_path: Path
) -> None:
    state = new_state(digits, tmp_path)
    before = {key: value.clone() for key, value in state.network.state_dict().items()}
    none = Select(lambda losses, _batches, _generator: torch.zeros_like(losses), looks)
    do(Train("train", epochs=2, select=none), state, RECIPE)
    assert (state.samples_trained, state.epochs_trained, state.schedule_epoch) == (0, 2, 2.0)
    for key, value in state.network.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda losses: losses[:3], "a weight for each training sample"),
        (lambda _losses: None, "a weight for each training sample"),
        (lambda losses: -torch.ones_like(losses), "not below 0"),
        (lambda losses: losses, "finite"),  # nan: nothing was seen yet
    ],
)
def test_what_is_no_weight_is_refused(
    answer: Callable[[Tensor], Any], reason: str, digits: Workload, tmp_path: Path
) -> None:
    phase = Train("train", epochs=1, select=Select(lambda losses, _b, _g: answer(losses)))
    with pytest.raises(RunError, match=reason):
        train_epoch(new_state(digits, tmp_path), phase, RECIPE, seed=0)


def test_what_does_not_go_with_a_choice_is_refused_before_the_run() -> None:
    spec = RunSpec(
        study="tiny",
        arm="info_batch",
        method="info_batch",
        hyperparameters={},
        seed=0,
        workload=WorkloadChoice(data="digits", model="vgg_small"),
        training=Training(epochs=8),
        energy=EnergySettings(),
        plugins=(),
    )
    assert why_not(spec, torch.device("cpu")) is None
    assert "works in one process only" in (why_not(spec, torch.device("cpu"), processes=2) or "")
    phase = Train("train", epochs=1, select=Select(drop_batches(0.5)))
    graphed = Training(graphs=True)
    assert "choose samples" in (refusal(graphed, [phase], torch.device("cuda")) or "")
    with pytest.raises(ValueError, match="neither rewire nor snapshot"):
        replace(phase, snapshot=SnapshotAt("here", 1))
