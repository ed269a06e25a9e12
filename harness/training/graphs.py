"""CUDA graphs of the training step: small networks do not wait for Python to start their kernels.

The captured function is the step that runs without graphs (`Step`); the learning rate is a tensor
that it reads, and each batch is copied to where it looks. One graph belongs to one structure of the
network, one size of batch, one arithmetic, and the penalties and masks of its phase.

It has not run on a GPU yet. `benchmarks/graphs_on_gpu.py` compares its weights with those of the
same training without graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.method.phases import Train
from harness.pruning.batch import Batch
from harness.settings.settings import Training
from harness.training.state import TrainingState
from harness.training.step import Step, batches_counted_at_the_end
from harness.workloads.source import samples_of_epoch, sizes_of_batches

WARM_UP_STEPS = 3
"""Before a capture: the first steps choose algorithms and make handles, which none can repeat."""

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes work, and returns what does the same work again."""


def refusal(
    training: Training, phases: Iterable[Train], device: torch.device, processes: int = 1
) -> str | None:
    """Why a training cannot be captured, in a sentence; None if it can.

    Args:
        training: The recipe.
        phases: The trainings that the method asks for, as far as they are foreseen.
        device: What it runs on.
        processes: How many train together.
    """
    if not training.graphs:
        return None
    asked = {training.precision, *(phase.precision for phase in phases)}
    for is_so, why in (
        (device.type != "cuda", "needs an NVIDIA GPU, and torch sees none"),
        (processes > 1, "works in one process only; set engine.gpus_per_run = 1"),
        (training.compile, "cannot be combined with training.compile; choose one"),
        (not training.fused, "needs training.fused = true, to read the learning rate on the GPU"),
        ("int8_simulated" in asked, "does not support int8_simulated, whose rounding is random"),
        ("fp8" in asked, "does not support fp8 yet"),
        (
            any(phase.rewire for phase in phases),
            "does not support methods whose weight masks move while training",
        ),
        (any(phase.select for phase in phases), "does not support methods that choose samples"),
        (any(phase.skip for phase in phases), "does not support methods that leave out blocks"),
        (
            any(phase.rates for phase in phases),
            "does not support methods that give layers learning rates of their own",
        ),
    ):
        if is_so:
            return f"training.graphs {why}"
    return None


def on_cuda(work: Callable[[], None]) -> Callable[[], None]:
    """Capture work on the current device; to do it again is one launch."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP_STEPS):
            work()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


@dataclass(frozen=True)
class _Captured:
    """One graph, and where it looks for its batch."""

    inputs: Tensor
    targets: Tensor
    again: Callable[[], None]


class GraphedStep:
    """The steps of a phase, captured; called as a `Step` is.

    Args:
        state: As it will train.
        phase: As of `Step`.
        training: The recipe.
        capture: How work is captured.
    """

    def __init__(
        self, state: TrainingState, phase: Train, training: Training, capture: Capture = on_cuda
    ) -> None:
        self._state = state
        self._step = Step(state, phase, training)
        self.total = self._step.total
        self._capture = capture
        self._rate = torch.zeros((), device=state.workload.device)
        self._captured: dict[torch.Size, _Captured] = {}
        self._masks = list(state.masks.values())  # kept, so that no other ones have their ids

    def __call__(self, batch: Batch, _whole: int, _move: Callable[[], None] | None = None) -> None:
        """Train on one batch; a size that was not foreseen is captured now."""
        self.prepare(batch)
        found = self._captured[batch.inputs.shape]
        found.inputs.copy_(batch.inputs)
        found.targets.copy_(batch.targets)
        found.again()

    def read_rate(self, rate: float) -> None:
        """The learning rate of the steps to come."""
        self._rate.fill_(rate)

    def prepare(self, batch: Batch) -> None:
        """Capture the step for batches of this size; the state stays as it was."""
        if batch.inputs.shape in self._captured:
            return
        state = self._state
        inputs, targets = batch.inputs.clone(), batch.targets.clone()
        before = [(tensor, tensor.detach().clone()) for tensor in self._changed()]
        rng = torch.get_rng_state(), _device_rng(state.workload.device)
        rates = [group["lr"] for group in state.optimizer.param_groups]
        for group in state.optimizer.param_groups:
            group["lr"] = self._rate
        with batches_counted_at_the_end(state.network, 0):
            own = Batch(inputs, targets)
            again = self._capture(lambda: self._step(own, len(targets)))
        for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        with torch.no_grad():
            known = {id(tensor) for tensor, _ in before}
            for tensor in self._changed():
                if id(tensor) not in known:  # begun by the optimizer, whose first step is the same
                    tensor.zero_()  # with zeros as without
            for tensor, value in before:
                tensor.copy_(value)
        torch.set_rng_state(rng[0])
        if rng[1] is not None:
            torch.cuda.set_rng_state(rng[1], state.workload.device)
        self._captured[inputs.shape] = _Captured(inputs, targets, again)

    def _changed(self) -> list[Tensor]:
        """Everything that a step changes."""
        state = self._state
        kept = [each for held in state.optimizer.state.values() for each in held.values()]
        tensors = [*state.network.parameters(), *state.network.buffers()]
        return [*tensors, *state.average.values(), self.total, *kept]


def graphed(
    state: TrainingState, phase: Train, training: Training, capture: Capture = on_cuda
) -> GraphedStep:
    """The phase's captured steps, from the state's cache if nothing they rest on has changed."""
    key: tuple[Any, ...] = (
        phase.precision or training.precision,
        phase.l1_gamma,
        phase.group_lasso,
        *map(id, state.masks.values()),
    )
    if key not in state.graphs:
        state.graphs[key] = GraphedStep(state, phase, training, capture)
    found: GraphedStep = state.graphs[key]
    return found


def capture_ahead(state: TrainingState, phase: Train, training: Training) -> None:
    """Capture the steps for each size of batch that an epoch has."""
    source = state.workload.train
    step = graphed(state, phase, training)
    samples = samples_of_epoch(len(source), training.batch_size)
    for size in sizes_of_batches(samples, training.batch_size):
        step.prepare(state.resized(source.sample(size, seed=0)))


def _device_rng(device: torch.device) -> Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None
