"""The path of a GPU, walked without one: no tensor on the wrong device, no wait in an epoch.

The GPU is a stand-in (`tests/fakes/cuda.py`), so this shows neither speed nor rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness import Train
from harness.method.base import Method
from harness.results.folder import RunFolder
from harness.results.journal_writer import JournalWriter
from harness.runner.phase_executor import PhaseContext
from harness.runner.run_method import run_method
from harness.settings.settings import Training, WorkloadChoice
from harness.study.registry import Registry
from harness.training.checkpoint import Checkpoint
from harness.training.loop import measured, train_epoch
from harness.training.rewiring import Rewirer
from harness.training.state import TrainingState
from harness.workloads.workload import open_workload
from tests.conftest import REPOSITORY, thinned
from tests.fakes.cuda import StandInCuda, on_stand_in_cuda

GPU = torch.device("cuda")
CHOICE = WorkloadChoice(data="digits", model="vgg_small", validation_share=0.9)
"""144 samples to train on, in batches of 96 and 48."""
PLAIN = Training(
    epochs=3,
    batch_size=96,
    learning_rate=0.05,
    crop_padding=1,
    flip=True,
    cutout=2,
    label_smoothing=0.1,
    channels_last=False,
    fused=False,
)
AS_ON_A_GPU = PLAIN.model_copy(update={"channels_last": True, "fused": True})
OWN_PHASES = str(REPOSITORY / "tests" / "results" / "own_phases.py")
ADAMW = {
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "weight_decay_of": "weights",
    "clip_norm": 1.0,
    "accumulate": 2,
    "ema": 0.9,
}
METHODS: dict[str, dict[str, Any]] = {
    "dense": {},
    "progressive": {},
    "early_bird": {"max_distance": 0.9, "window": 2},
    "lottery_ticket": {"rounds": 1},
    "shuffled_ticket": {"rounds": 1},
    "random_ticket": {"max_distance": 0.9, "window": 2},
    "prune_train": {},
    "rigl": {},
    "snip": {},
    "grasp": {},
    "synflow": {"iterations": 2},
}
KINDS = {"dense", "progressive", "early_bird", "lottery_ticket", "prune_train", "rigl"}
"""One of each kind of change to a network."""
SHRINKING = {"progressive", "early_bird", "random_ticket"}
MASKING = {"lottery_ticket", "shuffled_ticket", "rigl", "snip", "grasp", "synflow"}


class _Stop(BaseException):
    """The end of an attempt that is to be resumed."""


class _Stopping(JournalWriter):
    """A journal that ends its first attempt right after the first checkpoint."""

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        super().event(name, durable=durable, **values)
        if name == "checkpoint" and values["number"] == 1:
            raise _Stop


def attempt(method: Method, recipe: Training, device: torch.device, path: Path) -> TrainingState:
    """One attempt at a run, from its newest checkpoint, if there is one."""
    folder = RunFolder(path)
    path.mkdir(exist_ok=True)
    start = Checkpoint.load(folder.checkpoint, device)
    workload = open_workload(CHOICE, recipe, device)
    state = TrainingState(workload, recipe, 0, folder.snapshot)
    if start:
        state.load_state_dict(start.state)
    journal = (JournalWriter if start else _Stopping)(folder.journal, lambda: None)
    journal.event("attempt", number=2 if start else 1, restored=1 if start else 0)
    context = PhaseContext(workload, recipe, 0, state, journal, recall=lambda _method: None)  # type: ignore[arg-type, return-value]
    run_method(method, context, folder, start)
    return state


def run(method: Method, recipe: Training, device: torch.device, path: Path) -> TrainingState:
    """A run that is stopped after its first checkpoint, and resumed."""
    with pytest.raises(_Stop):
        attempt(method, recipe, device, path)
    return attempt(method, recipe, device, path)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInCuda]:
    """The stand-in, on which algorithms are looked for, and epochs and evaluations are watched."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with on_stand_in_cuda() as stand_in:

        def watched(work: Callable[..., Any]) -> Callable[..., Any]:
            def works(*given: Any, **named: Any) -> Any:
                with stand_in.watched():
                    return work(*given, **named)

            return works

        class CountsOnce(Rewirer):
            """The one thing in an epoch that may wait, before its first step."""

            def __init__(self, masks: Any) -> None:
                with stand_in.watched(watching=False):
                    super().__init__(masks)

        monkeypatch.setattr("harness.runner.phase_executor.train_epoch", watched(train_epoch))
        monkeypatch.setattr("harness.training.loop.measured", watched(measured))
        monkeypatch.setattr("harness.training.rewiring.Rewirer", CountsOnce)
        yield stand_in


@pytest.mark.parametrize("name", thinned(METHODS, KINDS))
def test_a_method_from_its_start_to_its_end(name: str, gpu: StandInCuda, tmp_path: Path) -> None:
    method = Registry.discover([]).get(name)(**METHODS[name])
    state = run(method, AS_ON_A_GPU, GPU, tmp_path / "run")
    assert gpu.waits == []
    assert bool(state.shrinks) or name not in SHRINKING
    assert bool(state.masks) == (name in MASKING)
    tensors = [*state.network.parameters(), *state.network.buffers(), *state.masks.values()]
    assert all(tensor.device == torch.device("cuda", 0) for tensor in tensors)


@pytest.mark.parametrize("name", thinned(("progressive", "rigl", "own_phases"), ("own_phases",)))
def test_a_method_with_adamw_in_parts_and_averaged(
    name: str, gpu: StandInCuda, tmp_path: Path
) -> None:
    recipe = AS_ON_A_GPU.model_copy(update={**ADAMW, "epochs": 4})
    method = Registry.discover((OWN_PHASES,)).get(name)(**METHODS.get(name, {}))
    state = run(method, recipe, GPU, tmp_path / "run")
    assert gpu.waits == []
    kept = [each for held in state.optimizer.state.values() for each in held.values()]
    saved = Checkpoint.load(RunFolder(tmp_path / "run").checkpoint, GPU)
    assert saved is not None
    averages = saved.state["average"].values()
    assert kept
    assert averages
    assert all(each.device == torch.device("cuda", 0) for each in (*kept, *averages))


def test_an_epoch_of_adamw_waits_for_nothing(gpu: StandInCuda, tmp_path: Path) -> None:
    recipe = AS_ON_A_GPU.model_copy(update=ADAMW)
    state = start(recipe, tmp_path)
    for _ in range(2):  # the second from a checkpoint
        with gpu.watched():
            train_epoch(state, Train("train", epochs=1), recipe, seed=0)
        Checkpoint(1, 0, 0, state.state_dict()).save(tmp_path / "saved")
        saved = Checkpoint.load(tmp_path / "saved", GPU)
        assert saved is not None
        state.load_state_dict(saved.state)
    assert gpu.waits == []
    counts = {entries["step"].device.type for entries in state.optimizer.state.values()}
    assert counts == {"cuda"}, "as the fused step reads them"


@pytest.mark.parametrize("precision", ["bf16", "int8_simulated"])
def test_an_epoch_in_other_arithmetic(precision: Any, gpu: StandInCuda, tmp_path: Path) -> None:
    state = start(AS_ON_A_GPU, tmp_path)
    with gpu.watched():
        train_epoch(state, Train("train", epochs=1, precision=precision), AS_ON_A_GPU, seed=0)
    assert gpu.waits == []


@pytest.mark.parametrize("name", thinned(("progressive", "rigl"), ("progressive",)))
def test_the_stand_in_computes_what_the_cpu_computes(
    name: str, gpu: StandInCuda, tmp_path: Path
) -> None:
    method = Registry.discover([]).get(name)(**METHODS[name])
    there = run(method, PLAIN, GPU, tmp_path / "gpu").network.state_dict()
    here = run(method, PLAIN, torch.device("cpu"), tmp_path / "cpu").network.state_dict()
    assert not any(map(gpu.holds, here.values()))
    for name, value in there.items():
        assert torch.equal(value.cpu(), here[name]), name


def start(recipe: Training, path: Path) -> TrainingState:
    workload = open_workload(CHOICE, recipe, GPU)
    return TrainingState(workload, recipe, 0, lambda name: path / name)


@pytest.mark.usefixtures("gpu")
def test_a_tensor_left_on_the_cpu_is_found(tmp_path: Path) -> None:
    state = start(PLAIN, tmp_path)
    name, weight = next(iter(state.network.named_parameters()))
    state._masks = {name: torch.ones(weight.shape)}
    with pytest.raises(RuntimeError, match="found at least two devices"):
        train_epoch(state, Train("train", epochs=1), PLAIN, seed=0)


def test_a_wait_in_a_step_is_found(
    gpu: StandInCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = start(PLAIN, tmp_path)
    monkeypatch.setattr(
        "harness.training.step.hold_at_zero",
        lambda *_: next(state.network.parameters())[0, 0, 0, 0].item(),
    )
    with gpu.watched():
        train_epoch(state, Train("train", epochs=1), PLAIN, seed=0)
    assert len(gpu.waits) == 2, "one a step"


def _ones(*shape: int, of: str = "cuda") -> Tensor:
    return torch.ones(shape, device=of)


REFUSED: dict[str, Callable[[], Any]] = {
    "adding": lambda: _ones(3) + _ones(3, of="cpu"),
    "in place": lambda: _ones(3, of="cpu").mul_(_ones(3)),
    "a list": lambda: torch._foreach_mul_([_ones(3)], [_ones(3, of="cpu")]),
    "joining numbers": lambda: torch.stack([_ones(), _ones(of="cpu")]),
    "indices of a gpu": lambda: _ones(3, of="cpu")[torch.arange(2, device="cuda")],
    "numpy": lambda: _ones(3).numpy(),
    "a generator of the cpu": lambda: torch.rand(3, device="cuda", generator=torch.Generator()),
    "a layer": lambda: nn.Linear(3, 2)(_ones(1, 3)),
}
WAITED_FOR: dict[str, Callable[[], Any]] = {
    "a number": lambda: _ones().item(),
    "a condition": lambda: bool(_ones() > 0),
    "a list": lambda: _ones(3).tolist(),
    "a copy from there": lambda: _ones(3).cpu(),
    "a copy to there": lambda: _ones(3, of="cpu").to("cuda"),
    "filling from there": lambda: _ones(3, of="cpu").copy_(_ones(3)),
    "a tensor of numbers": lambda: torch.tensor([1.0], device="cuda"),
    "a mask": lambda: _ones(3)[_ones(3) > 0],
    "a list of indices": lambda: _ones(3)[[0, 1]],
    "places": lambda: _ones(3).nonzero(),
    "comparing": lambda: torch.equal(_ones(3), _ones(3)),
}
NEITHER: dict[str, Callable[[], Any]] = {
    "a number of the cpu": lambda: _ones(3) + _ones(of="cpu"),
    "drawing": lambda: torch.rand(3, device="cuda", generator=torch.Generator("cuda")),
    "a copy that goes on": lambda: _ones(3, of="cpu").to("cuda", non_blocking=True),
    "choosing": lambda: torch.where(_ones(3) > 0, _ones(3), 0.0),
    "indices": lambda: _ones(3)[torch.arange(2, device="cuda")],
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_as_on_a_gpu(what: str) -> None:
    with on_stand_in_cuda(), pytest.raises((RuntimeError, TypeError), match=r"device|numpy"):
        REFUSED[what]()


@pytest.mark.parametrize("what", WAITED_FOR)
def test_waited_for_as_on_a_gpu(what: str) -> None:
    with on_stand_in_cuda() as gpu:
        with gpu.watched():
            WAITED_FOR[what]()
        assert len(gpu.waits) == 1


@pytest.mark.parametrize("what", NEITHER)
def test_neither_refused_nor_waited_for(what: str) -> None:
    with on_stand_in_cuda() as gpu, gpu.watched():
        assert NEITHER[what]().is_cuda
        assert gpu.waits == []
