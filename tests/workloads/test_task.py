"""Tasks: losses, scores, and how a score or a question of a network reaches the loss."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness import Batch, Task, Train, group_lasso_weight, output_of
from harness.errors import RunError, UsageError
from harness.settings.catalogue import DATA, MODELS, TASKS, Catalogue
from harness.settings.settings import Training, WorkloadChoice
from harness.training.loop import score, train_epoch
from harness.training.state import TrainingState
from harness.workloads.task import Classification, Language
from harness.workloads.workload import Workload, open_workload, task_for
from methods.snip import snip
from tests.workloads import own_tasks
from tests.workloads.own_tasks import Regression

CPU = torch.device("cpu")
DIGITS = WorkloadChoice(data="digits", model="vgg_small")


SAMPLES = own_tasks.slopes(DIGITS)


def drawn(task: Task, samples: int = 7) -> tuple[Tensor, Tensor]:
    """Outputs and targets that fit a task."""
    generator = torch.Generator().manual_seed(1)
    if isinstance(task, Language):
        shape = (samples, 4)
        return torch.randn(*shape, 9, generator=generator), torch.randint(9, shape)
    return torch.randn(samples, 9, generator=generator), torch.randint(9, (samples,))


@pytest.mark.parametrize("task", [Classification(), Language(), Regression()], ids=type)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_sums_of_parts_add_up_to_the_mean_of_the_whole(task: Task, smoothing: float) -> None:
    """So several processes, or several parts of a batch, learn what one would."""
    outputs, targets = drawn(task)
    if smoothing and not task.smooths_labels:
        with pytest.raises(UsageError, match="no labels"):
            task.loss(outputs, targets, "mean", smoothing)
        return
    whole = task.loss(outputs, targets, "mean", smoothing)
    parts = [
        task.loss(outputs[part], targets[part], "sum", smoothing) / len(targets)
        for part in (slice(0, 3), slice(3, 3), slice(3, None))
    ]
    torch.testing.assert_close(sum(parts), whole)
    each = task.loss(outputs, targets, "none", smoothing)
    assert each.shape == (len(targets),)
    torch.testing.assert_close(each.mean(), whole)
    if not smoothing:
        torch.testing.assert_close(task.losses(outputs, targets).mean(), whole)


def test_a_byte_that_nothing_is_known_of_takes_eight_bits() -> None:
    outputs, targets = torch.zeros(3, 5, 256), torch.zeros(3, 5, dtype=torch.int64)
    torch.testing.assert_close(Language().scores(outputs, targets), torch.full((3,), 8.0))
    four = Language(bytes_per_token=4).scores(outputs, targets)
    torch.testing.assert_close(four, torch.full((3,), 2.0))


def test_a_sample_of_text_scores_the_mean_over_its_tokens() -> None:
    outputs = torch.tensor([[[4.0, 0.0], [0.0, 4.0]], [[4.0, 0.0], [4.0, 0.0]]])
    targets = torch.tensor([[0, 0], [0, 0]])
    sure, wrong = (math.log1p(math.exp(-4.0)) + shift for shift in (0.0, 4.0))
    expected = torch.tensor([(sure + wrong) / 2, sure]) / math.log(2)
    torch.testing.assert_close(Language().scores(outputs, targets), expected)
    right = Language.facts["token_accuracy"](outputs, targets)
    assert right.tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda tensor: tensor,
        lambda tensor: (tensor, "state"),
        lambda tensor: [tensor],
        lambda tensor: {"loss": None, "logits": tensor},
        lambda tensor: SimpleNamespace(logits=tensor),
    ],
    ids=["tensor", "tuple", "list", "dict", "model output"],
)
def test_what_networks_return(wrapped: Any) -> None:
    tensor = torch.randn(2, 3)
    assert output_of(wrapped(tensor)) is tensor
    targets = torch.tensor([0, 2])
    expected = F.cross_entropy(tensor, targets)
    assert torch.equal(Batch(torch.zeros(2, 1), targets).loss(wrapped(tensor)), expected)


@pytest.mark.parametrize("nothing", [None, (), {"scores": torch.zeros(1)}, ("a", 1)])
def test_what_they_must_not_return(nothing: Any) -> None:
    with pytest.raises(TypeError, match=type(nothing).__name__):
        output_of(nothing)


def test_an_older_plugin_finds_images_and_labels() -> None:
    images, labels = Batch(torch.ones(2, 1), torch.tensor([0, 1]))
    batch = Batch(images, labels)
    assert batch.images is images is batch.inputs
    assert batch.labels is labels is batch.targets


@pytest.fixture(scope="module")
def digits() -> Workload:
    return open_workload(DIGITS, Training(), CPU)


def test_a_batch_for_a_question_has_the_loss_of_the_task(digits: Workload) -> None:
    outputs = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    batch = digits.sample(6, seed=0)
    assert torch.equal(batch.loss(outputs), F.cross_entropy(outputs, batch.targets))
    squares = replace(digits, task=Regression()).sample(6, seed=0)
    expected = (outputs[:, 0] - squares.targets).square().mean()
    torch.testing.assert_close(squares.loss({"logits": outputs}), expected)


def test_labels_are_smoothed_where_there_are_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.settings.catalogue.Catalogue.load", lambda *_: Regression)
    with pytest.raises(RunError, match="label_smoothing"):
        task_for(DIGITS, Training(label_smoothing=0.1), SAMPLES)
    assert isinstance(task_for(DIGITS, Training(), SAMPLES), Regression)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of `own_tasks`, by its entry points."""
    info = tmp_path / "own_tasks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own_tasks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(own_tasks.ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    for kind, catalogue in {"data": DATA, "models": MODELS, "tasks": TASKS}.items():
        monkeypatch.setitem(vars(catalogue), "_others", Catalogue(kind, {})._others)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("data", "model", "goal"),
    [
        ("slopes", "perceptron", lambda error: error < 0.1),
        ("signs", "perceptron", lambda share: share > 0.9),
        ("spots", "pixels", lambda share: share > 0.9),
    ],
)
def test_a_task_of_ones_own_is_learned(data: str, model: str, goal: Any, tmp_path: Path) -> None:
    recipe = Training(epochs=12, batch_size=16, learning_rate=0.1, schedule="cosine")
    workload = open_workload(WorkloadChoice(data=data, model=model), recipe, CPU)
    state = TrainingState(workload, recipe, 0, lambda name: tmp_path / name)
    untrained = score(state, workload.test, recipe)
    for _ in range(recipe.epochs):
        train_epoch(state, Train("train", epochs=1, l1_gamma=1e-4), recipe, seed=0)
    assert goal(score(state, workload.test, recipe))
    assert not goal(untrained)
    batch = workload.sample(8, seed=0)
    assert all(values.isfinite().all() for values in snip(state.network, batch).values())
    assert group_lasso_weight(0.25)(state.network, batch) > 0


@pytest.mark.usefixtures("installed")
def test_a_task_is_chosen_by_name_or_by_the_data() -> None:
    chosen = WorkloadChoice(data="digits", model="vgg_small", task="labels")
    assert open_workload(chosen, Training(), CPU).task.metric.name == "label accuracy"
    with pytest.raises(ValueError, match=r"'lables' is unknown; did you mean 'labels'"):
        WorkloadChoice(data="digits", model="vgg_small", task="lables")
