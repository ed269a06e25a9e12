"""First steps of a structure: a window of their own, and no trace in the training that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from harness import Train, bn_channel_mask
from harness.errors import RunError
from harness.runner.phase_executor import PhaseContext, evaluate, execute, make_first_steps
from harness.settings.settings import Training, WorkloadChoice
from harness.training import ahead, compiling
from harness.training.loop import train_epoch
from harness.training.state import TrainingState
from harness.workloads.workload import Workload, open_workload

RECIPE = Training(epochs=1, batch_size=512, schedule="cosine")
COMPILED = RECIPE.model_copy(update={"compile": "default"})
TRAIN = Train("train", epochs=1)


@pytest.fixture(scope="module")
def workload() -> Workload:
    choice = WorkloadChoice(data="digits", model="vgg_small")
    return open_workload(choice, RECIPE, torch.device("cpu"))


MakeState = Callable[..., TrainingState]


@pytest.fixture
def make(workload: Workload, tmp_path: Path) -> MakeState:
    def made(recipe: Training = RECIPE) -> TrainingState:
        return TrainingState(workload, recipe, 0, lambda name: tmp_path / name)

    return made


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Take the place of Inductor: a list that grows with every graph it is given to compile."""
    given: list[int] = []

    def compiler(graph: Any, inputs: Any) -> Any:
        given.append(len(inputs))
        return graph.forward

    monkeypatch.setattr(compiling, "backend", compiler)
    torch.compiler.reset()
    yield given
    torch.compiler.reset()


def windows_of(state: TrainingState, recipe: Training, *, epochs: int = 1) -> list[str]:
    """The energy windows that a training phase opens."""
    return windows_while(
        state, recipe, lambda b: execute(Train("train", epochs=epochs), b, 0, lambda _epoch: None)
    )


def windows_while(
    state: TrainingState, recipe: Training, work: Callable[[PhaseContext], Any]
) -> list[str]:
    windows: list[str] = []
    journal: Any = SimpleNamespace(border=windows.append, event=lambda *_, **__: None)
    work(PhaseContext(state.workload, recipe, 0, state, journal, recall=lambda _method: None))  # type: ignore[arg-type, return-value]
    return windows


def shrink(state: TrainingState, ratio: float = 0.1) -> None:
    state.shrink(bn_channel_mask(ratio, 1, 1)(state.network, state.workload.train.sample(1, 0)))


def searching(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the CPU search as a GPU does; a list of the sizes of batch that are stepped ahead."""
    monkeypatch.setattr(ahead, "searches_algorithms", lambda _device: True)
    sizes: list[int] = []
    rule = ahead.sizes_of_batches

    def seen(*given: Any) -> set[int]:
        found = rule(*given)
        sizes.extend(sorted(found))
        return found

    monkeypatch.setattr(ahead, "sizes_of_batches", seen)
    return sizes


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8_simulated"])
def test_training_is_the_same_bit_by_bit_with_and_without(
    precision: Any, make: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_steps, without = make(), make()
    for state in (with_steps, without):
        state.network.append(nn.Dropout(0.5))  # which draws from torch's own generator
        train_epoch(state, TRAIN, RECIPE, seed=0)
    searching(monkeypatch)
    torch.manual_seed(7)
    ahead.step_ahead(with_steps, precision, RECIPE)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3)), "random numbers go on as if nothing had been done"
    assert all(weight.grad is None for weight in with_steps.network.parameters())
    phase = Train("train", epochs=1, precision=precision)
    for state in (with_steps, without):
        train_epoch(state, phase, RECIPE, seed=0)
    ours, theirs = (state.state_dict() for state in (with_steps, without))
    for name, value in ours["network"].items():
        assert torch.equal(value, theirs["network"][name]), name
    for name, entries in ours["optimizer"].items():
        other = theirs["optimizer"][name]
        assert torch.equal(entries["momentum_buffer"], other["momentum_buffer"]), name


def test_a_cpu_has_nothing_to_search(make: MakeState) -> None:
    state = make()
    assert windows_of(state, RECIPE) == ["train", "evaluation"]
    assert windows_while(state, RECIPE, lambda context: make_first_steps(context, None)) == []


def test_a_search_has_a_window_once_a_structure(
    make: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = searching(monkeypatch)
    state = make()
    state.take_snapshot("start")
    assert windows_of(state, RECIPE, epochs=0) == []
    assert windows_of(state, RECIPE) == ["autotune", "train", "evaluation"]
    # 1257 samples to train on, 180 to validate, 360 to test
    assert sizes == [233, 512, 180, 360]
    assert windows_of(state, RECIPE) == ["train", "evaluation"]
    state.reinitialise(draw=1)
    state.rewind("start")
    assert windows_of(state, RECIPE) == ["train", "evaluation"], "the same shapes as before"
    shrink(state)
    assert windows_of(state, RECIPE) == ["autotune", "train", "evaluation"]
    shrink(state)
    only_evaluated = windows_while(state, RECIPE, lambda context: make_first_steps(context, None))
    assert only_evaluated == ["autotune"]
    other = Train("train", epochs=1, precision="bf16")
    assert windows_while(
        state, RECIPE, lambda context: execute(other, context, 0, lambda _epoch: None)
    ) == ["autotune", "train", "evaluation"]


def test_a_look_at_a_structure_that_was_never_trained_pays_for_no_search(
    make: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a method ends by removing channels."""
    searching(monkeypatch)
    state = make()
    shrink(state)
    assert windows_while(state, RECIPE, evaluate) == ["autotune", "evaluation"]
    assert windows_while(state, RECIPE, evaluate) == ["evaluation"]


@pytest.mark.parametrize(
    ("mode", "steps"), [("default", 1), ("reduce-overhead", 3), ("max-autotune", 3)]
)
def test_cuda_graphs_of_the_compiler_are_recorded_within_its_window(
    mode: str, steps: int, make: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, made = ahead.mean_loss, []

    def counted(logits: Any, labels: Any, *more: Any) -> Any:
        made.append(len(labels))
        return rule(logits, labels, *more)

    monkeypatch.setattr(ahead, "mean_loss", counted)
    recipe = RECIPE.model_copy(update={"compile": mode})
    monkeypatch.setattr("harness.training.state.compiled", lambda module, _mode: module)
    ahead.step_ahead(make(recipe), "fp32", recipe)
    assert sorted(made) == [233] * steps + [512] * steps


def test_every_structure_is_compiled_ahead_of_its_training(
    make: MakeState, graphs: list[int]
) -> None:
    """Dynamo's limit of eight would leave the fifth structure uncompiled."""
    state = make(COMPILED)
    for structure in range(6):
        before = len(graphs)
        ahead.step_ahead(state, "fp32", COMPILED)
        assert len(graphs) >= before + 2, f"structure {structure}: one graph a size of batch"
        before = len(graphs)
        train_epoch(state, TRAIN, COMPILED, seed=0)
        assert len(graphs) == before, "nothing is left to compile in the window of training"
        shrink(state)


def test_a_limit_of_recompilations_ends_the_run(make: MakeState, graphs: list[int]) -> None:
    state = make(COMPILED)
    with (
        torch._dynamo.config.patch(recompile_limit=1),
        pytest.raises(RunError, match=r"training\.compile = false"),
    ):
        windows_of(state, COMPILED)
    assert len(graphs) == 1


@pytest.mark.parametrize("mode", ["default", "reduce-overhead", "max-autotune"])
def test_modes_reach_torch(mode: str, make: MakeState, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def spy(module: nn.Module, **options: Any) -> nn.Module:
        asked.append(options)
        return module

    monkeypatch.setattr(torch, "compile", spy)
    make(RECIPE.model_copy(update={"compile": mode})).forward("fp32")
    assert asked == [{"backend": "inductor", "mode": mode, "dynamic": False}]


def test_compile_as_a_study_says_it() -> None:
    assert Training(compile=True) == Training(compile="default")
    assert not Training(compile=False).compile
    with pytest.raises(ValueError, match="did you mean 'max-autotune'"):
        Training(compile="max-autotun")
