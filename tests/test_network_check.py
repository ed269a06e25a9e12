"""A network that cannot be trained, or has nothing to prune, is refused before any run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from harness.settings.catalogue import DATA, MODELS, TASKS
from harness.settings.metric import ACCURACY
from harness.settings.settings import WorkloadChoice
from harness.workloads.samples import Samples
from harness.workloads.shape import Shape, shape_of
from harness.workloads.task import Task
from tests.networks import conv_bn
from tests.scheduler.started import called
from tests.workloads import files


def layers(classes: int, *norm: nn.Module) -> nn.Sequential:
    """A network for grey images."""
    convolution = nn.Conv2d(1, 16, 3, padding=1)
    return nn.Sequential(
        convolution, *norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes)
    )


class Named(nn.Module):
    """Answers with a dictionary in training."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Any:
        scores = self.inner(images)
        return {"scores": scores} if self.training else scores


def sound(_channels: int, classes: int) -> nn.Module:
    return layers(classes, nn.BatchNorm2d(16))


def too_few(_channels: int, _classes: int) -> nn.Module:
    return layers(7)


def named(_channels: int, classes: int) -> nn.Module:
    return Named(layers(classes))


def lazy(_channels: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def no_module(_channels: int, _classes: int) -> Any:
    return lambda images: images


def raising(_channels: int, _classes: int) -> nn.Module:
    raise KeyError("no weights here")


def for_colours(_channels: int, _classes: int) -> nn.Module:
    return conv_bn(3, 8)


def frozen(_channels: int, classes: int) -> nn.Module:
    return layers(classes).requires_grad_(False)


def without_norms(_channels: int, classes: int) -> nn.Module:
    return layers(classes)


def vectors(_choice: WorkloadChoice) -> Samples:
    samples = TensorDataset(torch.rand(40, 1, 8, 8), torch.arange(40) % 2)
    return Samples(samples, samples, outputs=2)


class OwnLinear(nn.Module):
    """A layer of no kind that the harness knows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(inputs, outputs))

    def forward(self, values: Tensor) -> Tensor:
        return values.flatten(1) @ self.matrix


def own_layers(_channels: int, classes: int) -> nn.Module:
    return OwnLinear(64, classes)


@pytest.fixture(autouse=True)
def _models_of_another_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = (sound, too_few, named, lazy, no_module, raising, for_colours, frozen)
    names = [each.__name__ for each in (*built, without_norms, own_layers)]
    monkeypatch.setattr(MODELS, "_others", {name: f"{__name__}:{name}" for name in names})
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("too_few", "gives outputs of shape (2, 7) for 2 samples of 1 x 8 x 8 and 10 classes"),
        ("named", "the network returns dict: neither a tensor, nor "),
        ("lazy", "'1.weight' belongs to a lazy layer"),
        ("no_module", "gave function, not a torch.nn.Module"),
        ("raising", "cannot be built for 1 channels and 10 outputs: KeyError: 'no weights here'"),
        ("for_colours", "fails in training mode on samples of 1 x 8 x 8: RuntimeError: "),
        ("frozen", "no weight that its outputs depend on can be trained"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_network_that_cannot_be_trained_is_refused(
    command: str, model: str, reason: str, tmp_path: Path
) -> None:
    ended = called(command, "dense", "--seed", "0", "--set", f"workload.model={model}")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: workload.model '{model}': {reason}")
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "method", "reason"),
    [
        ("without_norms", "progressive", "has no channels, neurons or heads that can be removed"),
        ("without_norms", "early_bird", "has no channels, neurons or heads that can be removed"),
        ("without_norms", "prune_train", "has no channels, neurons or heads that can be removed"),
        ("own_layers", "lottery_ticket", "which has no prunable ones"),
        ("own_layers", "snip", "which has no prunable ones"),
    ],
)
def test_a_method_that_finds_nothing_to_prune_is_refused(
    model: str, method: str, reason: str, tmp_path: Path
) -> None:
    words = ("--seed", "0", "--set", f"workload.model={model}", "--set", "workload.gates=none")
    ended = called("plan", method, *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: methods.{method}: ")
    assert reason in ended.stderr
    assert called("plan", "dense", "--set", f"workload.model={model}").returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_sound_network_passes_and_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    for model in ("sound", "without_norms"):  # the latter gets gates
        words = ("dense", "progressive", "rigl", "--set", f"workload.model={model}")
        assert called("plan", *words).returncode == 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_of_torchvision_that_needs_larger_images_is_refused() -> None:
    words = ("dense", "--set", "workload.model=torchvision/squeezenet1_1")
    ended = called("plan", *words)
    assert ended.returncode == 2
    assert "fails in training mode on samples of 3 x 8 x 8" in ended.stderr
    assert called("plan", *words, "--set", "workload.image_size=32").returncode == 0


def choice(data: str, **changes: Any) -> WorkloadChoice:
    return WorkloadChoice(data=data, model="vgg_small", **changes)


def test_shapes_are_known_without_the_data_and_right(tmp_path: Path) -> None:
    files.mnist(tmp_path)
    for classes in (10, 100):
        files.cifar(tmp_path, classes)
    for name in ("digits", "mnist", "cifar10", "cifar100"):
        own = choice(name, root=str(tmp_path))
        loaded = DATA.load(name)(own)
        channels = loaded.train_images.shape[1]
        assert shape_of(own) == Shape((channels, *loaded.size), loaded.classes), name
    assert shape_of(choice("cifar10", image_size=16)) == Shape((3, 16, 16), 10)


def test_the_shape_of_a_folder_is_that_of_its_first_picture(tmp_path: Path) -> None:
    own = choice("folder", root=str(tmp_path))
    assert shape_of(own) is None
    files.pictures(tmp_path, size=(24, 16))
    assert shape_of(own) == Shape((3, 16, 24), 2)


def test_the_shape_of_text_is_its_context_and_its_different_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abba")
    own = choice("text", root=str(tmp_path), context=8)
    assert shape_of(own) == Shape((8,), 2, "language", are_tokens=True, are_images=False)
    docs = shape_of(choice("python_docs"))
    assert docs is not None
    assert docs.outputs == DATA.load("python_docs")(own).outputs


PLAIN = ("--set", "training.crop_padding=0")
"""Of the default study, which is about images."""


class Squares(Task):
    """A task whose targets are numbers."""

    metric = ACCURACY


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            ("data=python_docs", "model=gpt_tiny", "training.flip=true"),
            "training.flip is for images",
        ),
        (("data=vectors", "model=sound", "training.cutout=2"), "training.cutout is for images"),
        (("task=squares", "training.label_smoothing=0.1"), "the task 'squares' has no labels"),
    ],
)
def test_a_recipe_that_asks_for_what_the_data_do_not_have_is_refused(
    settings: tuple[str, ...], reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(TASKS, "_others", {"squares": f"{__name__}:Squares"})
    monkeypatch.setattr(DATA, "_others", {"vectors": f"{__name__}:vectors"})
    words = [f"workload.{each}" if "." not in each else each for each in settings]
    ended = called("run", "dense", *PLAIN, *(part for word in words for part in ("--set", word)))
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("data", "model", "reason"),
    [
        ("digits", "gpt_tiny", "fails in training mode on samples of 1 x 8 x 8"),
        ("python_docs", "vgg_small", "fails in training mode on samples of 64 tokens"),
        ("python_docs", "gpt_tiny", "they must have the shape (2, 107)"),
    ],
)
def test_text_and_images_are_not_mixed_up(data: str, model: str, reason: str) -> None:
    words = ["--set", f"workload.data={data}", "--set", f"workload.model={model}", *PLAIN]
    if (data, model) == ("python_docs", "gpt_tiny"):
        words += ["--set", "workload.task=classification"]
    ended = called("plan", "dense", "--seed", "0", *words)
    assert ended.returncode == 2
    assert reason in ended.stderr


def test_text_is_planned_for_its_own_model() -> None:
    words = ("--set", "workload.data=python_docs", "--set", "workload.model=gpt_tiny", *PLAIN)
    assert called("plan", "dense", "early_bird", *words).returncode == 0


def test_a_transformer_without_gates_is_refused_by_what_removes_heads() -> None:
    words = ("--set", "workload.model=vit_tiny", "--set", "workload.gates=none")
    ended = called("plan", "progressive", *words)
    assert ended.returncode == 2
    assert "has no channels, neurons or heads that can be removed" in ended.stderr
