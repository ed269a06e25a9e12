"""Whether a network can be trained on its data by the methods of a study: found before any run.

What comes with the harness fits together. A network or data of another package, and torchvision's,
are tried on the CPU: two random samples forward in both modes, and what can be removed or masked.
So is one that is to begin with a file of weights, which must fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from harness.errors import RunError, UsageError
from harness.method.dry_run import foreseen_phases
from harness.method.phases import Budget, Inspect, Mask, Phase, Shrink
from harness.pruning.batch import output_of
from harness.pruning.channel_mask import ChannelMask
from harness.pruning.channels import channel_groups
from harness.pruning.weights import prunable_weights
from harness.settings.catalogue import TASKS, TORCHVISION, resolve_model
from harness.settings.run_spec import RunSpec
from harness.settings.settings import WorkloadChoice, image_setting
from harness.study.registry import Registry
from harness.workloads.shape import Shape, shape_of
from harness.workloads.weights_file import WeightsFile
from harness.workloads.workload import gates_for, seeded

SAMPLES = 2
"""BatchNorm takes no fewer."""


def check_networks(
    specs: Iterable[RunSpec], registry: Registry, foreign: Mapping[WorkloadChoice, Shape]
) -> None:
    """Build the network of each workload, and try what training and methods will ask of it.

    Args:
        specs: The runs; of an arm with several seeds one is looked at.
        registry: Finds their methods.
        foreign: What data of other packages look like.

    Raises:
        UsageError: Something fails; the message names the place.
    """
    arms = {(spec.workload, spec.arm): spec for spec in specs}
    for choice in dict.fromkeys(workload for workload, _ in arms):
        shape = foreign.get(choice) or shape_of(choice)
        if shape is None:
            continue
        of_choice = [spec for (workload, _), spec in arms.items() if workload == choice]
        for spec in of_choice:
            _check_recipe(spec, shape)
        if choice.model.startswith(TORCHVISION) and shape.is_grey:
            shape = shape.in_colour()
        network = _built(choice, shape)
        if choice.weights:
            _check_weights(network, choice.weights, shape.outputs)
        with seeded(0):
            example = _example(shape)
            _try(network, example, choice, shape)
            network = _with_gates(network, example, choice)
            for spec in of_choice:
                _ask(network, example, spec, registry)


def _check_recipe(spec: RunSpec, shape: Shape) -> None:
    """Whether the recipe asks for what the data or the task do not have."""
    key = image_setting(spec.workload, spec.training)
    if key and not shape.are_images:
        raise UsageError(
            f"{key} is for images, and the data '{spec.workload.data}' bring transforms of their "
            "own, or are no images; leave it out"
        )
    name = spec.workload.task or shape.task
    if spec.training.label_smoothing and not TASKS.load(name).smooths_labels:
        raise UsageError(f"training.label_smoothing: the task '{name}' has no labels to smooth")


def _built(choice: WorkloadChoice, shape: Shape) -> nn.Module:
    name = f"workload.model '{choice.model}'"
    try:
        with seeded(0):
            network: Any = resolve_model(choice.model)(shape.sample[0], shape.outputs)
    except UsageError as error:
        raise UsageError(f"workload.model: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever another package raises is a message, not a traceback
        raise UsageError(
            f"{name}: cannot be built for {_inputs(shape)} and {shape.outputs} outputs: "
            f"{_told(error)}"
        ) from None
    if not isinstance(network, nn.Module):
        raise UsageError(f"{name}: gave {type(network).__name__}, not a torch.nn.Module")
    tensors = [*network.named_parameters(), *network.named_buffers()]
    lazy = next((place for place, tensor in tensors if is_lazy(tensor)), None)
    if lazy:
        raise UsageError(
            f"{name}: '{lazy}' belongs to a lazy layer, which has no size yet; call the network "
            "with a batch before returning it, or give the layer its size"
        )
    return network


def _check_weights(network: nn.Module, weights: str, outputs: int) -> None:
    try:
        WeightsFile(Path(weights)).fit(network, outputs)
    except RunError as error:
        raise UsageError(str(error)) from None


def _example(shape: Shape) -> Tensor:
    size = (SAMPLES, *shape.sample)
    return torch.randint(shape.outputs, size) if shape.are_tokens else torch.rand(size)


def _inputs(shape: Shape) -> str:
    if shape.are_tokens:
        return f"{shape.sample[0]} tokens"
    return f"{shape.sample[0]} {'channels' if len(shape.sample) == 3 else 'inputs'}"


def _try(network: nn.Module, example: Tensor, choice: WorkloadChoice, shape: Shape) -> None:
    """Forward passes in both modes; what comes out must be what the task takes."""
    name = f"workload.model '{choice.model}'"
    size = " x ".join(map(str, example.shape[1:]))
    if shape.are_tokens:
        size += " tokens"
    expected = {
        "classification": (len(example), shape.outputs),
        "language": (*example.shape, shape.outputs),
    }.get(choice.task or shape.task)
    for mode in ("training", "evaluation"):
        try:
            with torch.set_grad_enabled(mode == "training"):
                outputs: Any = network.train(mode == "training")(example)
        except Exception as error:  # noqa: BLE001 - as of any network
            raise UsageError(
                f"{name}: fails in {mode} mode on samples of {size}: {_told(error)}"
            ) from None
        try:
            scores = output_of(outputs)
        except TypeError as error:
            raise UsageError(f"{name}: {error}") from None
        if expected is not None and scores.shape != expected:
            raise UsageError(
                f"{name}: gives outputs of shape {tuple(scores.shape)} for {len(example)} samples "
                f"of {size} and {shape.outputs} classes; they must have the shape {expected}"
            )
        if mode == "training" and not scores.requires_grad:
            raise UsageError(f"{name}: no weight that its outputs depend on can be trained")


def _with_gates(network: nn.Module, example: Tensor, choice: WorkloadChoice) -> nn.Module:
    try:
        return gates_for(network, choice, example).insert(network)
    except RunError as error:
        raise UsageError(str(error)) from None


def _ask(network: nn.Module, example: Tensor, spec: RunSpec, registry: Registry) -> None:
    """Whether there is something for the method to remove or to mask."""
    method = registry.get(spec.method)(**spec.hyperparameters)
    phases = foreseen_phases(method, Budget(spec.training.epochs)) or []
    if any(map(_removes_channels, phases)):
        try:
            channel_groups(network, example)
        except ValueError as error:
            raise UsageError(
                f"methods.{spec.method}: removes channels of workload.model "
                f"'{spec.workload.model}', but {error}"
            ) from None
    if any(isinstance(phase, Mask) for phase in phases) and not prunable_weights(network):
        raise UsageError(
            f"methods.{spec.method}: masks weights of workload.model '{spec.workload.model}', "
            "which has no prunable ones"
        )


def _removes_channels(phase: Phase) -> bool:
    asks = isinstance(phase, Inspect) and isinstance(phase.dummy_answer(), ChannelMask)
    return asks or isinstance(phase, Shrink)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
