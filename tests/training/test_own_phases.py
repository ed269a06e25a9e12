"""Do, Freeze and Resize: what they change, what stays, and what they refuse."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from harness import (
    Do,
    Freeze,
    Method,
    Moved,
    Resize,
    Snapshot,
    Train,
    bn_channel_mask,
    check_method,
    magnitude,
)
from harness.errors import RunError
from harness.method.base import Phases
from harness.method.phases import Phase
from harness.pruning.gates import add_gate
from harness.pruning.weights import prune_weights
from harness.results.journal import Journal
from harness.runner.device_check import why_not
from harness.runner.method_check import _Trial
from harness.runner.phase_executor import PhaseContext, evaluate, execute
from harness.settings.run_spec import RunSpec
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from harness.training.frozen import parameters_of
from harness.training.loop import train_epoch
from harness.training.optimizer import moments
from harness.training.state import TrainingState
from harness.workloads.workload import Workload
from tests.training.conftest import ADAMW, RECIPE, RECIPES, MakeState
from tests.training.test_state import assert_same, kept, ticket, weights

TRAIN = Train("train", epochs=1)


class Noted:
    """A journal that keeps windows and events."""

    def __init__(self) -> None:
        self.windows: list[str] = []
        self.events: list[dict[str, Any]] = []

    def border(self, window: str) -> None:
        self.windows.append(window)

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        del durable
        self.events.append({"event": name, **values})


def context_of(state: TrainingState, recipe: Training = RECIPE) -> PhaseContext:
    return PhaseContext(state.workload, recipe, 0, state, Noted(), recall=lambda _method: None)  # type: ignore[arg-type, return-value]


def do(phase: Phase, state: TrainingState, recipe: Training = RECIPE) -> Any:
    return execute(phase, context_of(state, recipe), 0, lambda _epoch: None)


def saved_and_loaded(state: TrainingState, other: TrainingState) -> TrainingState:
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other


@torch.no_grad()
def jitter(network: nn.Module, batch: Any) -> dict[str, Any]:
    for parameter in network.parameters():
        parameter.add_(torch.randn(parameter.shape), alpha=0.01)
    return {"samples": len(batch[1])}


@RECIPES
def test_a_function_changes_weights_and_nothing_else_of_the_state(
    recipe: Training, make_state: MakeState
) -> None:
    state, twin = make_state(recipe=recipe), make_state(recipe=recipe)
    for each in (state, twin):
        train_epoch(each, TRAIN, recipe, seed=0)
        masks = prune_weights(magnitude(each.network, each.workload.train.sample(1, 0)), {}, 0.5)
        each.masks = masks
        each.apply_masks()
    before, moved = kept(state), weights(state)
    context = context_of(state, recipe)
    assert execute(Do("jitter", jitter, samples=5), context, 0, lambda _: None) == {"samples": 5}
    assert context.journal.windows == ["jitter"]
    assert do(Do("jitter", jitter), twin, recipe) == {"samples": recipe.batch_size}
    assert all(torch.equal(value, before[name]) for name, value in kept(state).items())
    assert not torch.equal(weights(state)["0.weight"], moved["0.weight"])
    assert not weights(state)["3.weight"][state.masks["3.weight"] == 0].any()
    for name, value in weights(state).items():
        assert torch.equal(value, weights(twin)[name]), "its random numbers follow from the seed"
        if name in state.average:
            assert torch.equal(value, state.average[name]), name
    train_epoch(state, TRAIN, recipe, seed=0)


def replaces(network: Any, _batch: Any) -> None:
    network[0].weight = nn.Parameter(network[0].weight.detach().clone())


def freezes(network: Any, _batch: Any) -> None:
    network[0].weight.requires_grad_(False)


def removes(network: Any, _batch: Any) -> None:
    network[1] = nn.Identity()


def replaces_a_buffer(network: Any, _batch: Any) -> None:
    network[1].running_mean = torch.ones(32)


@pytest.mark.parametrize("function", [replaces, freezes, removes, replaces_a_buffer])
def test_a_function_that_changes_more_is_refused(
    function: Callable[[Any, Any], Any], make_state: MakeState
) -> None:
    with pytest.raises(RunError, match=r"'mine' changed [01](\.\w+)? \((parameter|buffer|module)"):
        do(Do("mine", function), make_state())


class Own(Method):
    """Does something between two epochs."""

    def phases(self, budget: Any) -> Phases:
        del budget
        yield Train("before", epochs=1)
        yield Do("mine", self.act, samples=1)
        yield Train("after", epochs=1)

    @staticmethod
    def act(network: Any, batch: Any) -> Any:
        raise NotImplementedError


class Replacing(Own):
    """Replaces a parameter."""

    act = staticmethod(replaces)


class NotJson(Own):
    """Answers with a set."""

    @staticmethod
    def act(_network: Any, _batch: Any) -> Any:
        return {1, 2}


class Unseeded(Own):
    """Draws from a generator that nothing seeds."""

    @staticmethod
    @torch.no_grad()
    def act(network: Any, _batch: Any) -> Any:
        network[0].weight.mul_(random.random())


class Sound(Own):
    """Keeps the contract."""

    act = staticmethod(jitter)


@pytest.mark.parametrize(
    ("method", "broken"),
    [
        (Replacing(), "'mine' changed 0.weight (parameter)"),
        (NotJson(), "it and its answer must be plain JSON"),
        (Unseeded(), "not so: the same seed gives the same weights"),
        (Sound(), None),
    ],
)
def test_the_check_of_methods_finds_what_breaks_the_contract(
    method: Method, broken: str | None
) -> None:
    found = [each.text for each in check_method(method) if not each.holds]
    assert bool(found) == bool(broken)
    assert broken is None or broken in found[0]


class Counted(Own):
    """Counts its calls, which no method should."""

    calls: ClassVar[list[int]] = []

    @staticmethod
    def act(_network: Any, batch: Any) -> Any:
        Counted.calls.append(len(batch[1]))


def test_a_checkpoint_follows_so_that_resuming_does_not_repeat_it(
    workload: Workload, tmp_path: Path
) -> None:
    trial = _Trial(Counted(), workload, tmp_path / "run")
    trial.run(stop_after=2)  # the first is that of the epoch before
    assert [each["phase"] for each in Journal(trial.folder).events("checkpoint")] == [1, 2]
    assert Journal(trial.folder).events("answer")[-1]["description"]["function"] == "Counted.act"
    trial.run()
    assert Counted.calls == [1]


@RECIPES
def test_what_is_frozen_stays_and_the_rest_trains(recipe: Training, make_state: MakeState) -> None:
    state = make_state(recipe=recipe)
    train_epoch(state, TRAIN, recipe, seed=0)
    before, moved = kept(state), weights(state)
    trains = do(Freeze(("0", "1.bias")), state, recipe)
    assert trains == sum(
        each.numel() for name, each in state.network.named_parameters() if name[:2] != "0."
    ) - len(moved["1.bias"])
    assert all(torch.equal(value, before[name]) for name, value in kept(state).items())
    train_epoch(state, Train("train", epochs=1, l1_gamma=1e-2), recipe, seed=0)
    frozen = {"0.weight", "1.bias"}
    for name, each in state.network.named_parameters():
        assert torch.equal(each, moved[name]) == (name in frozen), name
        assert (each.grad is None) == (name in frozen), name
    assert not frozen & moments(state.optimizer, state.network).keys()
    assert do(Freeze(()), state, recipe) > trains
    train_epoch(state, TRAIN, recipe, seed=0)
    assert not torch.equal(state.network[0].weight, moved["0.weight"])


def test_frozen_is_frozen_through_a_method_and_a_checkpoint(make_state: MakeState) -> None:
    state = make_state(recipe=ADAMW)
    state.take_snapshot("start")
    do(Freeze("all but last"), state, ADAMW)
    do(Resize(6), state, ADAMW)
    *frozen, weight, bias = [name for name, _ in state.network.named_parameters()]
    for change in (lambda: ticket(state), lambda: state.rewind("start"), lambda: None):
        change()
        train_epoch(state, TRAIN, ADAMW, seed=0)
        assert moments(state.optimizer, state.network).keys() == {weight, bias}
        other = saved_and_loaded(state, make_state(seed=7, recipe=ADAMW))
        assert_same(state, other)
        assert (other.frozen, other.image_size) == (frozen, 6)
        for each in (state, other):
            train_epoch(each, TRAIN, ADAMW, seed=0)
        assert_same(state, other)
    state.reinitialise(draw=1)
    assert not any(dict(state.network.named_parameters())[name].requires_grad for name in frozen)


def test_thawing_leaves_alone_what_the_builder_froze(make_state: MakeState) -> None:
    state = make_state()
    state.network[0].weight.requires_grad_(False)
    do(Freeze("1"), state)
    do(Freeze(()), state)
    trains = {name for name, each in state.network.named_parameters() if each.requires_grad}
    assert trains == {name for name, _ in state.network.named_parameters()} - {"0.weight"}


def test_names_that_are_none_and_freezing_everything_are_refused(make_state: MakeState) -> None:
    state = make_state()
    with pytest.raises(RunError, match=r"module '0\.wieght'; did you mean '0\.weig"):
        do(Freeze(("0.wieght",)), state)
    with pytest.raises(RunError, match="leaves no parameter to train"):
        do(Freeze(tuple(name for name, _ in state.network.named_parameters())), state)
    shared = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    shared[1].weight = shared[0].weight
    assert parameters_of(shared, "all but last") == ["0.bias"]
    assert parameters_of(shared, ("1",)) == ["0.weight", "1.bias"]
    last = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    gated = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), last)
    assert parameters_of(gated, "all but last") == ["0.weight", "0.bias"]
    gated[2] = nn.Linear(2, 2)
    add_gate(gated[2])
    assert parameters_of(gated, "all but last") == ["0.weight", "0.bias"]


PLUGIN = """
from harness import Freeze, Method, Train


class Misspelt(Method):
    def phases(self, budget):
        yield Freeze(("stam",))
        yield Train("train", epochs=1)
"""


def test_names_are_looked_at_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "misspelt.py").write_text(PLUGIN)
    spec = RunSpec(
        study="tiny",
        arm="misspelt",
        method="misspelt",
        hyperparameters={},
        seed=0,
        workload=WorkloadChoice(data="digits", model="resnet20"),
        training=RECIPE,
        energy=EnergySettings(),
        plugins=(str(tmp_path / "misspelt.py"),),
    )
    reason = why_not(spec, torch.device("cpu")) or ""
    assert reason.startswith("methods.misspelt: Freeze: the network has no parameter or module")


def test_smaller_images_are_trained_on_and_whole_ones_evaluated(make_state: MakeState) -> None:
    state = make_state()
    seen: list[tuple[bool, tuple[int, ...]]] = []
    state.network.register_forward_pre_hook(
        lambda module, given: seen.append((module.training, tuple(given[0].shape[-2:])))
    )
    context = context_of(state)
    small = execute(Resize(6), context, 0, lambda _: None)
    assert context.journal.events == [{"event": "resolution", "image_size": 6, "macs": small.macs}]
    seen.clear()
    train_epoch(state, TRAIN, RECIPE, seed=0)
    evaluate(context)
    assert set(seen) == {(True, (6, 6)), (False, (8, 8))}
    whole = do(Resize(None), state)
    assert small.macs < whole.macs
    assert small.parameters == whole.parameters
    seen.clear()
    train_epoch(state, TRAIN, RECIPE, seed=0)
    assert set(seen) == {(True, (8, 8))}


def test_a_size_that_the_network_does_not_take_is_refused(make_state: MakeState) -> None:
    state = make_state()
    state.network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(RunError, match=r"vgg_small does not take images of 6 × 6: mat1 and mat2"):
        do(Resize(6), state)


def test_a_ticket_is_drawn_of_whole_images(make_state: MakeState) -> None:
    state = make_state()
    do(Resize(6), state)
    batch = state.workload.train.sample(1, 0)
    assert batch[0].shape[-1] == 8
    state.shrink(bn_channel_mask(0.5, 8, 8)(state.network, batch))
    train_epoch(state, TRAIN, RECIPE, seed=0)


def test_the_distance_is_that_of_all_weights_as_one_vector(make_state: MakeState) -> None:
    state = make_state()
    before = nn.utils.parameters_to_vector(state.network.parameters()).detach().clone()
    do(Snapshot("then"), state)
    assert do(Moved("then"), state) == 0.0
    train_epoch(state, TRAIN, RECIPE, seed=0)
    after = nn.utils.parameters_to_vector(state.network.parameters()).detach()
    expected = float((after - before).norm() / before.norm())
    assert do(Moved("then"), state) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(RunError, match="no snapshot 'never'"):
        do(Moved("never"), state)
    ticket(state)
    with pytest.raises(RunError, match="of this structure"):
        do(Moved("then"), state)
