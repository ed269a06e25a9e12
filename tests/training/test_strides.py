"""Weights, gradients, momentum and masks share their strides, in every method and after each phase.

A GPU lays weights out channels_last, and its fused optimizer refuses unequal strides; here the
layout is forced on the CPU, and every step is checked as CUDA would.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from harness import Budget, ChannelMask, bn_channel_mask, magnitude
from harness.method.phases import Finished
from harness.pruning.weights import prune_weights
from harness.runner.phase_executor import PhaseContext, execute
from harness.settings.settings import Training, WorkloadChoice
from harness.study.registry import Registry
from harness.training.state import TrainingState
from harness.workloads.resident import Resident
from harness.workloads.workload import Workload, open_workload
from tests.conftest import thinned
from tests.training.conftest import RECIPES

RECIPE = Training(epochs=2, batch_size=128)
METHODS: dict[str, dict[str, Any]] = {
    "batch_dropping": {"probability": 0.1},
    "dense": {},
    "dense_short": {"share": 0.5},
    "early_bird": {"window": 1},
    "early_crop": {"samples": 16},
    "early_bird reinit": {"window": 1, "reinit": True},
    "early_bird in 8 bits": {"window": 1, "low_precision": "all"},
    "fixed_epoch_prune": {"epoch": 1},
    "freeze_out": {"first": 0.4},
    "grasp": {"samples": 16},
    "info_batch": {},
    "lottery_ticket": {"rounds": 2},
    "lottery_ticket structured": {"rounds": 2, "structured": True},
    "magnitude_at_init": {},
    "progressive": {"rounds": 2},
    "progressive_resizing": {},
    "progressive finetune": {"rounds": 2, "retrain": "finetune"},
    "prune_train": {"interval": 1, "threshold": 0.2},
    "random_ticket": {},
    "rigl": {"every_steps": 1},
    "selective_backprop": {},
    "shuffled_ticket": {"rounds": 2},
    "small_dense": {},
    "snip": {"samples": 16},
    "synflow": {"iterations": 3},
    "when_to_prune": {"window": 1},
}
SHRINKS = {
    "early_bird",
    "early_crop",
    "early_bird reinit",
    "early_bird in 8 bits",
    "fixed_epoch_prune",
    "lottery_ticket structured",
    "progressive",
    "progressive finetune",
    "prune_train",
    "random_ticket",
    "small_dense",
    "when_to_prune",
}
KINDS = {
    "early_bird in 8 bits",
    "early_bird reinit",
    "lottery_ticket",
    "progressive",
    "prune_train",
    "rigl",
}
"""One of each kind of change to a network."""


def test_every_method_is_tried() -> None:
    tried = {name.split()[0] for name in METHODS}
    of_transformers = {"layer_dropping", "random_ltd"}
    assert tried == set(Registry.discover().names()) - of_transformers


@pytest.fixture(scope="module")
def workload() -> Workload:
    return in_channels_last("vgg_small")


def in_channels_last(model: str) -> Workload:
    """Some digits, and a network, laid out as on a GPU."""
    choice = WorkloadChoice(data="digits", model=model, train_samples=256)
    opened = open_workload(choice, RECIPE, torch.device("cpu"))

    def some(source: Any) -> Resident:
        return replace(
            source,
            padded=source.padded[:200].contiguous(memory_format=torch.channels_last),
            labels=source.labels[:200],
            layout=torch.channels_last,
        )

    return replace(
        opened,
        train=some(opened.train),
        validation=some(opened.validation),
        example=opened.example.contiguous(memory_format=torch.channels_last),
        layout=torch.channels_last,
    )


@pytest.fixture
def steps() -> Iterator[list[int]]:
    """Check every optimizer step as the fused kernel of CUDA does; the numbers of tensors seen."""
    seen: list[int] = []

    def check(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            for weight in group["params"]:
                assert_alike(weight, weight.grad, "gradient")
                assert_kept(optimizer, weight, "state")
            seen.append(len(group["params"]))

    handle = register_optimizer_step_pre_hook(check)
    yield seen
    handle.remove()


def assert_alike(weight: Tensor, other: Tensor | None, what: str) -> None:
    """Sides of one have no stride that matters."""
    if other is not None:
        assert other.shape == weight.shape, what
        sides = [side for side in range(weight.ndim) if weight.shape[side] > 1]
        ours, theirs = ([each.stride(side) for side in sides] for each in (weight, other))
        assert ours == theirs, f"{what} of a weight of shape {tuple(weight.shape)}"


def assert_kept(optimizer: torch.optim.Optimizer, weight: Tensor, what: str) -> None:
    for key, value in optimizer.state[weight].items():
        if key != "step":
            assert_alike(weight, value, f"{key} of {what}")


def assert_strides(state: TrainingState) -> None:
    weights = dict(state.network.named_parameters())
    for name, weight in weights.items():
        if weight.ndim == 4:
            assert weight.is_contiguous(memory_format=torch.channels_last), name
        assert_kept(state.optimizer, weight, name)
    for name, mask in state.masks.items():
        assert_alike(weights[name], mask, f"mask of {name}")


def saved(state: TrainingState, layout: torch.memory_format) -> dict[str, Any]:
    """The state as a checkpoint holds it, its tensors in `layout`."""

    def laid_out(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: laid_out(each) for key, each in value.items()}
        if isinstance(value, Tensor) and value.ndim == 4:
            return value.contiguous(memory_format=layout)
        return value

    buffer = io.BytesIO()
    torch.save(laid_out(state.state_dict()), buffer)
    buffer.seek(0)
    found: dict[str, Any] = torch.load(buffer, weights_only=True)
    return found


@pytest.mark.parametrize("name", thinned(METHODS, KINDS))
def test_strides_stay_alike_through_a_method(
    name: str, workload: Workload, steps: list[int], tmp_path: Path
) -> None:
    state = TrainingState(workload, RECIPE, 0, lambda name: tmp_path / f"{name}.pt")
    dense = sum(weight.numel() for weight in state.network.parameters())
    journal = SimpleNamespace(border=lambda _window: None, event=lambda *_, **__: None)
    ticket = bn_channel_mask(0.5, 8, 8)(state.network, workload.train.sample(1, 0))

    def recall(_method: str) -> Finished:
        halved = {
            group: "10" * (len(bits) // 2) + "1" * (len(bits) % 2)
            for group, bits in ticket.layers.items()
        }
        return Finished(1.0, 2, ChannelMask(halved))

    context = PhaseContext(workload, RECIPE, 0, state, journal, recall)  # type: ignore[arg-type]
    method = Registry.discover().get(name.split()[0])(**METHODS[name])
    phases = method.phases(Budget(RECIPE.epochs))
    answer = None
    while True:
        try:
            phase = phases.send(answer)
        except StopIteration:
            break
        answer = phase.decode(phase.encode(execute(phase, context, 0, lambda _epoch: None)))
        assert_strides(state)
        for layout in (torch.channels_last, torch.contiguous_format):
            resumed = TrainingState(workload, RECIPE, 1, lambda name: tmp_path / name)
            resumed.load_state_dict(saved(state, layout))
            assert_strides(resumed)
    assert len(steps) >= 2
    shrank = sum(weight.numel() for weight in state.network.parameters()) < dense
    assert shrank == (name in SHRINKS)


@RECIPES
@pytest.mark.parametrize("model", ["mobilenet_v2", "resnet20"])
def test_strides_of_coupled_and_depthwise_layers(
    model: str, recipe: Training, steps: list[int], tmp_path: Path
) -> None:
    workload = in_channels_last(model)
    state = TrainingState(workload, recipe, 0, lambda name: tmp_path / name)
    batch = workload.train.sample(8, 0)
    state.masks = prune_weights(magnitude(state.network, batch), {}, 0.5)
    state.apply_masks()
    for _ in range(2):
        loss = state.network.train()(batch.inputs).square().sum()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.shrink(bn_channel_mask(0.5, 1, 1)(state.network, batch))
        assert_strides(state)
    assert len(steps) == (4 if recipe.weight_decay_of == "weights" else 2), "one per group"
