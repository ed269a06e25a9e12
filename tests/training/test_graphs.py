"""The captured training step is the step that runs without graphs; what cannot be is refused.

There is no GPU here: a capture is played by one that runs the same work each time it is replayed.
What is left untried is CUDA's own part (`on_cuda`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import Mask, Rewire, Train, magnitude
from harness.errors import RunError
from harness.results.journal_writer import SilentJournal
from harness.runner.device_check import why_not
from harness.runner.phase_executor import PhaseContext, execute
from harness.settings.settings import Training
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.training import graphs, loop
from harness.training.graphs import GraphedStep, graphed, refusal
from harness.training.loop import train_epoch
from harness.training.state import TrainingState
from harness.training.step import batches_counted_at_the_end
from harness.workloads.workload import Workload
from tests.training.conftest import ADAMW, RECIPE, RECIPES

GRAPHS = RECIPE.model_copy(update={"graphs": True})
CUDA = torch.device("cuda")


def played(work: Callable[[], None]) -> Callable[[], None]:
    """A capture: it warms up as the real one does, and does the work when it is asked again."""
    for _ in range(graphs.WARM_UP_STEPS):
        work()
    return work


def trained(
    workload: Workload, recipe: Training, phase: Train, path: Path, *, masked: bool = False
) -> TrainingState:
    """Two epochs of a phase, from the same start."""
    state = TrainingState(workload, recipe, 0, lambda name: path / name)
    if masked:
        context = PhaseContext(
            workload, recipe, 0, state, SilentJournal(lambda: None, lambda: None), None
        )  # type: ignore[arg-type]
        execute(Mask(magnitude, 0.5, samples=1), context, 0, lambda _: None)
    for _ in range(2):
        train_epoch(state, phase, recipe, seed=0)
    return state


@pytest.mark.parametrize(
    ("phase", "masked", "recipe"),
    [
        (Train("train", epochs=2), False, RECIPE),
        (Train("train", epochs=2), False, ADAMW),
        (Train("train", epochs=2, l1_gamma=1e-2), False, RECIPE),
        (Train("train", epochs=2, group_lasso=1e-3), False, RECIPE),
        (Train("train", epochs=2, rate=0.5), True, RECIPE),
    ],
)
def test_captured_steps_end_with_the_weights_of_plain_ones(
    phase: Train,
    masked: bool,
    recipe: Training,
    workload: Workload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def playing(state: TrainingState, phase: Train, training: Training) -> GraphedStep:
        return graphed(state, phase, training, played)

    monkeypatch.setattr(loop, "graphed", playing)
    plain = trained(workload, recipe, phase, tmp_path, masked=masked)
    captured = recipe.model_copy(update={"graphs": True})
    ours = trained(workload, captured, phase, tmp_path, masked=masked)
    for name, value in plain.network.state_dict().items():
        # The rate is a float32 tensor here, and a Python float there.
        torch.testing.assert_close(
            ours.network.state_dict()[name], value, atol=1e-6, rtol=1e-5, msg=name
        )
    assert len(ours.graphs) == 1, "both epochs use one capture"
    [step] = ours.graphs.values()
    assert len(step._captured) == 2, "whole batches, and the smaller last one"


@RECIPES
def test_a_capture_leaves_the_state_as_it_was(
    recipe: Training, workload: Workload, tmp_path: Path
) -> None:
    state = TrainingState(workload, recipe, 0, lambda name: tmp_path / name)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    rng = torch.get_rng_state()
    step = graphed(state, Train("train", epochs=1), recipe, played)
    step.prepare(workload.train.sample(16, seed=0))
    for name, value in state.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(torch.get_rng_state(), rng)
    assert float(step.total) == 0
    assert isinstance(state.optimizer.param_groups[0]["lr"], float)
    kept = [each for held in state.optimizer.state.values() for each in held.values()]
    assert kept
    assert not any(bool(each.any()) for each in kept)


def test_another_structure_or_penalty_is_captured_anew(workload: Workload, tmp_path: Path) -> None:
    state = TrainingState(workload, GRAPHS, 0, lambda name: tmp_path / name)
    plain, penalised = Train("train", epochs=1), Train("train", epochs=1, l1_gamma=0.1)
    first = graphed(state, plain, GRAPHS, played)
    assert graphed(state, Train("other", epochs=3), GRAPHS, played) is first
    assert graphed(state, penalised, GRAPHS, played) is not first
    state.reinitialise(draw=1)
    assert graphed(state, plain, GRAPHS, played) is not first


@pytest.mark.parametrize(
    ("changes", "phase", "device", "processes", "output"),
    [
        ({}, {}, torch.device("cpu"), 1, "needs an NVIDIA GPU"),
        ({}, {}, CUDA, 2, "one process"),
        ({"compile": True}, {}, CUDA, 1, "training.compile"),
        ({"fused": False}, {}, CUDA, 1, "training.fused"),
        ({"precision": "int8_simulated"}, {}, CUDA, 1, "int8_simulated"),
        ({}, {"precision": "int8_simulated"}, CUDA, 1, "int8_simulated"),
        ({"precision": "fp8"}, {}, CUDA, 1, "fp8"),
        ({}, {"rewire": Rewire(10, 0.3, 1.0)}, CUDA, 1, "weight masks move"),
        ({}, {"precision": "bf16"}, CUDA, 1, None),
        ({"graphs": False}, {}, torch.device("cpu"), 2, None),
    ],
)
def test_what_cannot_be_captured_is_refused_with_a_sentence(
    changes: dict[str, Any],
    phase: dict[str, Any],
    device: torch.device,
    processes: int,
    output: str | None,
) -> None:
    recipe = GRAPHS.model_copy(update=changes)
    found = refusal(recipe, [Train("train", epochs=1, **phase)], device, processes)
    if output is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith("training.graphs ")
        assert output in found


def test_a_study_that_cannot_be_captured_is_refused_before_training() -> None:
    study = Study(
        name="one",
        seeds=[0],
        workload={"data": "digits", "model": "vgg_small"},
        training={"graphs": True},
        methods={"dense": {}},
    )
    [spec] = expand(study, Registry.discover())
    assert "training.graphs needs an NVIDIA GPU" in (why_not(spec, torch.device("cpu")) or "")


def test_a_phase_that_nobody_foresaw_is_refused_when_it_comes(
    workload: Workload, tmp_path: Path
) -> None:
    state = TrainingState(workload, GRAPHS, 0, lambda name: tmp_path / name)
    context = PhaseContext(
        workload, GRAPHS, 0, state, SilentJournal(lambda: None, lambda: None), None
    )  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"^training\.graphs needs an NVIDIA GPU"):
        execute(Train("train", epochs=1), context, 0, lambda _: None)
    assert state.epochs_trained == 0


@pytest.mark.parametrize("recipe", [RECIPE, GRAPHS], ids=["plain", "graphs"])
def test_a_snapshot_holds_the_count_of_batches(
    recipe: Training, workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = TrainingState(workload, recipe, 0, lambda name: tmp_path / name)

    def replayed(work: Callable[[], None]) -> Callable[[], None]:
        again = played(work)

        def launch() -> None:
            with batches_counted_at_the_end(state.network, 0):  # as when it was captured
                again()

        return launch

    monkeypatch.setattr(loop, "graphed", lambda *of: graphed(*of, replayed))

    def counts() -> set[int]:
        kept = state.network.state_dict()
        return {int(kept[name]) for name in kept if name.endswith("num_batches_tracked")}

    steps = len(workload.train.epoch(recipe.batch_size, 0))
    found: list[set[int]] = []
    train_epoch(
        state, Train("train", epochs=1), recipe, 0, snapshot=(3, lambda _: found.append(counts()))
    )
    assert [*found, counts()] == [{3}, {steps}]


def test_batches_are_counted_once_an_epoch_and_the_count_is_the_same(
    workload: Workload, tmp_path: Path
) -> None:
    """A launch a layer and step is saved, and who reads the count finds it."""
    state = TrainingState(workload, RECIPE, 0, lambda name: tmp_path / name)
    norms = [m for m in state.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    added = []

    class Noting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, _types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            integer = isinstance(args[0], torch.Tensor) and args[0].dtype == torch.int64
            if func is torch.ops.aten.add_.Tensor and integer and args[0].ndim == 0:
                added.append(func)
            return func(*args, **(kwargs or {}))

    steps = len(workload.train.epoch(RECIPE.batch_size, 0))
    with Noting():
        train_epoch(state, Train("train", epochs=1), RECIPE, seed=0)
    assert steps > 1
    assert len(added) == len(norms)
    assert {int(norm.num_batches_tracked) for norm in norms} == {steps}
