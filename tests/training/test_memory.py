"""When memory runs out, the run says which batch size would fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from harness import Train
from harness.errors import RunError
from harness.runner.phase_executor import PhaseContext, execute
from harness.training.memory import is_out_of_memory
from harness.training.state import TrainingState
from tests.training.conftest import RECIPE, MakeState


def limited(state: TrainingState, most: int) -> None:
    """Have the network run out of memory beyond `most` samples."""
    inner = state.network.forward

    def forward(pictures: Tensor) -> Tensor:
        if len(pictures) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return inner(pictures)

    state.network.forward = forward


def bench_of(state: TrainingState) -> PhaseContext:
    journal = SimpleNamespace(border=lambda _window: None, event=lambda *_, **__: None)
    return PhaseContext(state.workload, RECIPE, 0, state, journal, recall=lambda _method: None)


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (40, r"training\.batch_size = 32 would fit, or training\.accumulate = 4$"),
        (1, "no batch size would fit"),
    ],
)
def test_the_message_names_a_batch_size_that_fits(
    most: int, message: str, make_state: MakeState
) -> None:
    state = make_state()
    limited(state, most)
    with pytest.raises(RunError, match=message) as caught:
        execute(Train("search", epochs=1), bench_of(state), 0, lambda _epoch: None)
    assert "'search' ran out of memory at training.batch_size = 128" in str(caught.value)


def test_other_errors_are_not_taken_for_it(make_state: MakeState) -> None:
    state = make_state()
    state.network.append(nn.Linear(7, 7))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        execute(Train("search", epochs=1), bench_of(state), 0, lambda _epoch: None)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_texts_of_the_driver_and_its_libraries_are_recognised(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


def test_the_advice_tries_what_trains(make_state: MakeState) -> None:
    """In the phase's precision: half the bytes would otherwise be asked for twice."""
    state = make_state()
    tried = []

    def noted(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        tried.append((len(output), output.dtype))
        if len(output) > 32:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    state.network[0].register_forward_hook(noted)
    with pytest.raises(RunError, match=r"training\.batch_size = 32 would fit"):
        execute(
            Train("search", epochs=1, precision="bf16"), bench_of(state), 0, lambda _epoch: None
        )
    assert tried == [(size, torch.bfloat16) for size in (128, 64, 32)]


def test_a_cpu_without_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert is_out_of_memory(caught.value)
