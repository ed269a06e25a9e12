"""FreezeOut beside a loop written from its official code, and what its layers are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness import Budget, Freeze, Inspect, LayerRate, RunError, Train, check_method
from harness.settings.catalogue import resolve_model
from harness.settings.settings import Training, WorkloadChoice
from harness.training.loop import train_epoch
from harness.training.state import TrainingState, stream
from harness.workloads.workload import open_workload
from methods.freeze_out import FreezeOut, layers_in_order
from tests.methods.played import played, trainings
from tests.training.test_own_phases import do
from tests.training.test_state import assert_same

EPOCHS = 10
RECIPE = Training(epochs=EPOCHS, batch_size=64, schedule="constant", learning_rate=0.02)
UNITS = [("0", "1"), ("3", "4"), ("7", "8"), ("10", "11"), ("14", "15"), ("17", "18"), ("22",)]


def new_state(path: Path, recipe: Training = RECIPE) -> TrainingState:
    choice = WorkloadChoice(data="digits", model="vgg_small", train_samples=128)
    workload = open_workload(choice, recipe, torch.device("cpu"))
    return TrainingState(workload, recipe, 0, lambda name: path / name)


def official(state: TrainingState, t_0: float, power: int, *, scale_lr: bool) -> None:
    """`update_lr` and `Layer.forward` of the official code: ratios, rates, and inactive layers."""
    network, steps = state.network, 2
    modules = [[network.get_submodule(name) for name in names] for names in UNITS]
    ratios = [(t_0 + (1 - t_0) * i / (len(UNITS) - 1)) ** power for i in range(len(UNITS))]
    groups = [
        {"params": [p for m in each for p in m.parameters()], "layer_index": i}
        for i, each in enumerate(modules)
    ]
    optimizer = torch.optim.SGD(
        groups, 0.0, RECIPE.momentum, weight_decay=RECIPE.weight_decay, nesterov=RECIPE.nesterov
    )
    active = [True] * len(UNITS)
    for j in range(EPOCHS * steps):
        if j % steps == 0:
            batches = iter(state.workload.train.epoch(64, stream(0, "epoch", j // steps)))
        network.train()
        for i, ratio in enumerate(ratios):
            max_j = EPOCHS * steps * ratio
            if j >= max_j - 1e-6:
                active[i] = False
            for group in optimizer.param_groups:
                if group["layer_index"] == i:
                    rate = RECIPE.learning_rate / (ratio if scale_lr else 1.0)
                    group["lr"] = (rate / 2) * (1 + math.cos(math.pi * j / max_j))
        for i, each in enumerate(modules):
            for module in each if not active[i] else []:
                module.eval()
        optimizer.param_groups[:] = [g for g in optimizer.param_groups if active[g["layer_index"]]]
        images, labels = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()


@pytest.mark.parametrize("scaled", [True, False])
def test_training_is_that_of_the_official_code(scaled: bool, tmp_path: Path) -> None:
    """Ten epochs of seven layers, which end after 4, 5, ... of them."""
    ours, theirs = new_state(tmp_path), new_state(tmp_path)
    layers = layers_in_order()(ours.network, None)
    method = FreezeOut(first=0.4, how="linear", scaled=scaled)
    for phase in played(
        method, Budget(EPOCHS), lambda p: layers if isinstance(p, Inspect) else None
    ):
        do(phase, ours, RECIPE)
    official(theirs, 0.4, 1, scale_lr=scaled)
    for name, value in theirs.network.state_dict().items():
        found = ours.network.state_dict()[name]
        torch.testing.assert_close(found, value, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("how", ["linear", "squared", "cubic"])
@pytest.mark.parametrize("first", [0.3, 0.8])
def test_layers_end_where_the_paper_has_them_and_the_last_one_at_the_end(
    how: Any, first: float
) -> None:
    names = [[f"layer {number}"] for number in range(5)]
    phases = played(
        FreezeOut(first=first, how=how),
        Budget(100),
        lambda p: names if isinstance(p, Inspect) else None,
    )
    power = {"linear": 1, "squared": 2, "cubic": 3}[how]
    shares = [(first + (1 - first) * i / 4) ** power for i in range(5)]
    [rates] = {training.rates for training in trainings(phases)}
    assert [r.until_epoch for r in rates] == pytest.approx([100 * share for share in shares])
    assert [rate.scale for rate in rates] == pytest.approx([1 / share for share in shares])
    assert sum(training.epochs for training in trainings(phases)) == 100
    epoch, frozen = 0, ()
    for phase in phases[1:]:
        if isinstance(phase, Train):
            for number, share in enumerate(shares):
                begun = share * 100 <= epoch + 1e-4
                assert (f"layer {number}" in frozen) == begun
            epoch += phase.epochs
        else:
            assert isinstance(phase, Freeze)
            assert phase.statistics
            frozen = phase.names


@pytest.mark.parametrize(
    ("model", "given", "count", "first", "last"),
    [
        ("vgg_small", (1, 10), 7, ["0", "1"], ["22"]),
        ("resnet20", (3, 10), 11, ["stem.0", "stem.1"], ["head.2"]),
        ("vit_tiny", (3, 10), 6, ["patches"], ["head"]),
        ("gpt_tiny", (16, 50), 6, ["tokens"], ["head"]),
    ],
)
def test_layers_are_blocks_and_convolutions_with_their_norms(
    model: str, given: tuple[int, int], count: int, first: list[str], last: list[str]
) -> None:
    network = resolve_model(model)(*given)
    layers = layers_in_order()(network, None)
    assert (len(layers), layers[0], layers[-1]) == (count, first, last)
    named = {
        id(p) for names in layers for n in names for p in network.get_submodule(n).parameters()
    }
    assert named == {id(parameter) for parameter in network.parameters()}


def test_frozen_statistics_stay_and_a_checkpoint_knows(tmp_path: Path) -> None:
    state = new_state(tmp_path)
    do(Freeze(("0", "1"), statistics=True), state, RECIPE)
    norms = [m for m in state.network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [(m.running_mean.clone(), int(m.num_batches_tracked)) for m in norms]
    torch.save(state.state_dict(), tmp_path / "saved")
    other = new_state(tmp_path)
    other.load_state_dict(torch.load(tmp_path / "saved", weights_only=True))
    rates = (LayerRate(("22",), 2.0, 3.0),)
    for each in (state, other):
        train_epoch(each, Train("train", epochs=1, rates=rates), RECIPE, seed=0)
    assert_same(state, other)
    for number, (norm, (mean, count)) in enumerate(zip(norms, before, strict=True)):
        assert torch.equal(norm.running_mean, mean) == (number == 0)
        assert int(norm.num_batches_tracked) == count + (0 if number == 0 else 2)
    do(Freeze(()), state, RECIPE)
    train_epoch(state, Train("train", epochs=1), RECIPE, seed=0)
    assert not torch.equal(norms[0].running_mean, before[0][0])


def test_a_single_layer_trains_to_the_end() -> None:
    phases = played(FreezeOut(), Budget(4), lambda p: [["0"]] if isinstance(p, Inspect) else None)
    [training] = phases[1:]
    assert isinstance(training, Train)
    assert training.rates == (LayerRate(("0",), 4.0, 1.0),)


def test_a_layer_that_is_none_is_refused(tmp_path: Path) -> None:
    phase = Train("train", epochs=1, rates=(LayerRate(("23",), 2.0),))
    with pytest.raises(RunError, match="no parameter or module '23'"):
        train_epoch(new_state(tmp_path), phase, RECIPE, seed=0)


def test_it_satisfies_the_contract() -> None:
    assert all(finding.holds for finding in check_method(FreezeOut(first=0.5, how="linear")))
