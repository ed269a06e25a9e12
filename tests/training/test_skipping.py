"""Leaving out blocks and tokens: each beside a forward pass written out, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import DropLayers, DropTokens, Train, check_method
from harness.errors import RunError
from harness.runner.device_check import why_not
from harness.runner.phase_executor import evaluate
from harness.settings.catalogue import resolve_model
from harness.settings.run_spec import RunSpec
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from harness.training.loop import train_epoch
from harness.training.skipping import Skipping, blocks_of
from harness.training.state import TrainingState, stream
from harness.workloads.workload import Workload, open_workload
from methods.layer_dropping import LayerDropping
from methods.random_ltd import RandomLTD
from tests.training.test_own_phases import context_of, do

RECIPE = Training(epochs=2, batch_size=16, schedule="constant", learning_rate=0.05, momentum=0.0)
CONTEXT = 12


@pytest.fixture(scope="module")
def text() -> Workload:
    choice = WorkloadChoice(data="python_docs", model="gpt_tiny", context=CONTEXT, train_samples=48)
    return open_workload(choice, RECIPE, torch.device("cpu"))


def new_state(workload: Workload, path: Path) -> TrainingState:
    return TrainingState(workload, RECIPE, 0, lambda name: path / name)


def without_layers(network: Any, tokens: Tensor, place: float) -> Tensor:
    """`sample_active_layers` of "No Train No Gain" (theta 0.5, gamma 3 over the budget)."""
    total = len(network.blocks)
    most = 1 - (0.5 + (1 - 0.5) * math.exp(-3.0 / 2 * place))
    coins = torch.rand(total).tolist()
    active = [i for i in range(total) if not coins[i] < most / total * (i + 1)]
    hidden = network.tokens(tokens) + network.places(torch.arange(tokens.shape[1]))
    for i in active:
        hidden = network.blocks[i](hidden)
    return network.head(network.norm(hidden))


def with_some_tokens(network: Any, tokens: Tensor, place: float) -> Tensor:
    """Each sample by itself: its drawn tokens, in order, through each middle block."""
    length = math.floor(place / 1.5 * (CONTEXT - 3) + 3)
    length = min(length - length % 2, CONTEXT)
    hidden = network.tokens(tokens) + network.places(torch.arange(tokens.shape[1]))
    for number, block in enumerate(network.blocks):
        if number in (0, len(network.blocks) - 1) or length == CONTEXT:
            hidden = block(hidden)
            continue
        drawn = torch.rand(len(tokens), CONTEXT).argsort(dim=1)[:, :length]
        rows = []
        for sample, chosen in zip(hidden, drawn.tolist(), strict=True):
            passed = block(torch.stack([sample[i] for i in sorted(chosen)])[None])[0]
            found = dict(zip(sorted(chosen), passed, strict=True))
            rows.append(torch.stack([found.get(i, sample[i]) for i in range(CONTEXT)]))
        hidden = torch.stack(rows)
    return network.head(network.norm(hidden))


@pytest.mark.parametrize(
    ("rule", "forward"),
    [
        (DropLayers(0.5, 3.0, 2.0), without_layers),
        (DropTokens(0.25, 2, 1.5), with_some_tokens),
    ],
    ids=["layers", "tokens"],
)
def test_training_is_that_of_a_forward_pass_written_out(
    rule: Any, forward: Any, text: Workload, tmp_path: Path
) -> None:
    """Two epochs of three steps on text."""
    ours, slow = new_state(text, tmp_path), new_state(text, tmp_path)
    phase = Train("train", epochs=2, skip=rule)
    for epoch in range(2):
        train_epoch(ours, phase, RECIPE, seed=0)
        seed = stream(0, "epoch", epoch)
        torch.manual_seed(seed)
        batches = list(text.train.epoch(16, seed))
        slow.network.train()
        for number, (tokens, targets) in enumerate(batches):
            outputs = forward(slow.network, tokens, epoch + number / len(batches))
            slow.optimizer.zero_grad()
            F.cross_entropy(outputs.flatten(0, 1), targets.flatten()).backward()
            slow.optimizer.param_groups[0]["lr"] = RECIPE.learning_rate
            slow.optimizer.step()
    for name, value in slow.network.state_dict().items():
        found = ours.network.state_dict()[name]
        torch.testing.assert_close(found, value, atol=1e-5, rtol=1e-4, msg=name)
    plain = new_state(text, tmp_path)
    for _ in range(2):
        train_epoch(plain, Train("train", epochs=2), RECIPE, seed=0)
    assert not torch.equal(plain.network.head.weight, ours.network.head.weight)


def deepspeeds(step: int, tokens: int, least: int, required: int, increment: int) -> int:
    """`RandomLTDScheduler.get_value` with the schedule "fixed_linear"."""
    value = math.floor(step / required * (tokens - least) + least)
    value -= value % increment
    return min(value, tokens)


@pytest.mark.parametrize(("tokens", "least", "increment"), [(128, 32, 16), (64, 16, 1), (7, 7, 7)])
def test_tokens_grow_as_in_deepspeed(tokens: int, least: int, increment: int) -> None:
    rule = DropTokens(least / tokens, increment, until_epoch=20.0)
    for step in range(30):
        expected = deepspeeds(step, tokens, least, 20, increment)
        assert rule.length(float(step), tokens) == expected


def test_layers_are_left_out_as_often_as_the_paper_says(text: Workload, tmp_path: Path) -> None:
    network = new_state(text, tmp_path).network.train()
    rule = DropLayers(0.5, 100.0, 10.0)
    blocks = blocks_of(network)
    skipping, ran = Skipping(rule, blocks), torch.zeros(3)
    counters = [
        block.norm_1.register_forward_hook(lambda *_, n=n: ran.__setitem__(n, ran[n] + 1))
        for n, block in enumerate(blocks)
    ]
    torch.manual_seed(0)
    tokens = text.train.sample(1, 0).inputs
    with skipping.installed(), torch.no_grad():
        for _ in range(600):
            skipping.begin(5.0)
            network(tokens)
    expected = [1 - 0.5 * block / 3 for block in (1, 2, 3)]
    torch.testing.assert_close(ran / 600, torch.tensor(expected), atol=0.06, rtol=0)
    assert rule.probability(0.0, 3, 3) == 0.0
    for counter in counters:
        counter.remove()


@pytest.mark.parametrize("rule", [DropLayers(0.01, 1e6, 1.0), DropTokens(0.1, 1, 100.0)])
def test_evaluation_has_everything(rule: Any, text: Workload, tmp_path: Path) -> None:
    state = new_state(text, tmp_path)
    do(Train("train", epochs=1, skip=rule), state, RECIPE)
    twin = new_state(text, tmp_path)
    twin.network.load_state_dict(state.network.state_dict())
    ours, theirs = context_of(state, RECIPE), context_of(twin, RECIPE)
    for context in (ours, theirs):
        evaluate(context)
    assert ours.val_score == theirs.val_score
    assert all("forward" not in vars(block) for block in blocks_of(state.network))


@pytest.mark.parametrize(
    ("model", "count"),
    [("vit_tiny", 4), ("gpt_tiny", 3), ("vgg_small", 0), ("resnet20", 0), ("mobilenet_v2", 0)],
)
def test_blocks_are_those_of_transformers(model: str, count: int) -> None:
    assert len(blocks_of(resolve_model(model)(3, 10))) == count


@pytest.mark.parametrize("method", ["layer_dropping", "random_ltd"])
@pytest.mark.parametrize(
    ("model", "changes", "processes", "reason"),
    [
        ("vit_tiny", {}, 1, None),
        ("vgg_small", {}, 1, "the network has no row of"),
        ("resnet20", {}, 1, "the network has no row of"),
        ("vit_tiny", {"compile": "default"}, 1, "cannot be compiled"),
        ("vit_tiny", {}, 2, "works in one process only"),
    ],
)
def test_what_cannot_leave_anything_out_is_refused_before_the_run(
    method: str, model: str, changes: dict[str, Any], processes: int, reason: str | None
) -> None:
    spec = RunSpec(
        study="tiny",
        arm=method,
        method=method,
        hyperparameters={},
        seed=0,
        workload=WorkloadChoice(data="digits", model=model),
        training=Training(epochs=4, **changes),
        energy=EnergySettings(),
        plugins=(),
    )
    found = why_not(spec, torch.device("cpu"), processes)
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


def test_a_phase_that_was_not_foreseen_is_refused_when_it_comes() -> None:
    choice = WorkloadChoice(data="digits", model="vgg_small", train_samples=32)
    workload = open_workload(choice, RECIPE, torch.device("cpu"))
    state = TrainingState(workload, RECIPE, 0, Path)
    with pytest.raises(RunError, match="no row of"):
        do(Train("train", epochs=1, skip=DropTokens(0.5, 1, 1.0)), state, RECIPE)


class TwoOutputs(nn.Module):
    """An attention block that returns more than a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1)

    def forward(self, hidden: Tensor) -> tuple[Tensor, None]:
        return hidden, None


def test_a_block_that_is_not_of_tokens_alone_is_refused() -> None:
    network = nn.Sequential(*(TwoOutputs() for _ in range(3)))
    blocks = blocks_of(network)
    skipping = Skipping(DropTokens(0.5, 1, 1.0), blocks)
    with skipping.installed():
        with pytest.raises(RunError, match="more than a tensor"):
            blocks[1](torch.zeros(2, 6, 4))
        with pytest.raises(RunError, match="takes more than tokens"):
            blocks[1](torch.zeros(2, 6, 4), None)


@pytest.mark.parametrize(
    "method", [pytest.param(LayerDropping(steepness=3.0), marks=pytest.mark.long), RandomLTD()]
)
def test_they_satisfy_the_contract(method: Any) -> None:
    assert all(finding.holds for finding in check_method(method))
