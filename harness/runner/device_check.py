"""Whether a run can be carried out on this device at all: found out before it begins."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from harness.errors import RunError, UsageError
from harness.method.dry_run import foreseen_phases
from harness.method.phases import Budget, Freeze, Phase, Resize, Train
from harness.settings.catalogue import resolve_model
from harness.settings.run_spec import RunSpec
from harness.settings.settings import Training, WorkloadChoice
from harness.study.registry import Registry
from harness.training.frozen import parameters_of
from harness.training.graphs import refusal as uncapturable
from harness.training.precision import refusal
from harness.training.skipping import refusal as cannot_skip
from harness.workloads.shape import shape_of
from harness.workloads.workload import open_workload


def why_not(spec: RunSpec, device: torch.device, processes: int = 1) -> str | None:
    """Why `device` cannot carry out `spec`, with the setting to change; None if it can.

    Args:
        spec: The run.
        device: One of those that it is to run on.
        processes: How many train it together, each on such a device.
    """
    try:
        build = resolve_model(spec.workload.model)
    except UsageError as error:
        return f"workload.model: {error}"
    layer = _unrepeatable(build) if spec.training.deterministic and device.type == "cuda" else None
    if layer:
        return (
            f"training.deterministic: PyTorch cannot repeat the gradients of {layer}, a layer of "
            f"{spec.workload.model}; choose another model, or training.deterministic = false"
        )
    if spec.workload.weights and (reason := _unfitting(spec.workload, spec.training)):
        return reason
    if device.type == "mps" and spec.training.compile:
        return "training.compile is not supported on an Apple GPU; set it to false"
    reason = refusal(spec.training.precision, device, processes)
    if reason:
        return f"training.precision: {reason}"
    method = Registry.discover(spec.plugins).get(spec.method)(**spec.hyperparameters)
    try:
        phases = foreseen_phases(method, Budget(spec.training.epochs)) or []
    except UsageError as error:
        return str(error)
    trainings = [phase for phase in phases if isinstance(phase, Train)]
    if reason := (
        _unknown_names(build, phases)
        or _unfit_images(build, phases, spec.workload)
        or _unfit_training(build, trainings, spec.training, processes)
    ):
        return f"methods.{spec.method}: {reason}"
    if reason := uncapturable(spec.training, trainings, device, processes):
        return reason
    asked = {phase.precision for phase in phases if isinstance(phase, Train) and phase.precision}
    refused = (refusal(precision, device, processes) for precision in sorted(asked))
    return next((f"methods.{spec.method}: {reason}" for reason in refused if reason), None)


def _unknown_names(build: Callable[[int, int], nn.Module], phases: list[Phase]) -> str | None:
    """Layers that a method names and the network does not have, in phases that are foreseen."""
    names = [phase.names for phase in phases if isinstance(phase, Freeze)]
    names += [rate.names for each in phases if isinstance(each, Train) for rate in each.rates]
    if names and (network := _without_memory(build)):
        try:
            for each in names:
                parameters_of(network, each)
        except RunError as error:
            return str(error)
    return None


def _unfit_images(
    build: Callable[[int, int], nn.Module], phases: list[Phase], choice: WorkloadChoice
) -> str | None:
    """What a method resizes that is no image, or to what size the network does not take."""
    resizings = [phase for phase in phases if isinstance(phase, Resize)]
    shape = shape_of(choice) if resizings else None
    if shape is None:
        return None
    if len(shape.sample) != 3:
        return f"resizes images, and the samples of {choice.data} are none; choose another method"
    network = _without_memory(build)
    if network is None or not _takes(network, full := min(shape.sample[1:])):
        return None  # the run will tell
    sides = sorted({side for each in resizings if (side := each.side(full))})
    return next(
        (
            f"trains on images of {side} × {side} pixels, which {choice.model} does not take; "
            "choose larger ones, or another model"
            for side in sides
            if not _takes(network, side)
        ),
        None,
    )


def _unfit_training(
    build: Callable[[int, int], nn.Module], phases: list[Train], recipe: Training, processes: int
) -> str | None:
    """What a method asks of training steps that this network, or this recipe, does not allow."""
    network = _without_memory(build) if any(phase.skip for phase in phases) else None
    if network and (reason := cannot_skip(network, phases, recipe, processes)):
        return reason
    if processes > 1 and any(phase.select for phase in phases):
        return "chooses samples, which works in one process only; set engine.gpus_per_run = 1"
    return None


def _takes(network: nn.Module, side: int) -> bool:
    """Whether a network without values takes images of this size; BatchNorm takes two or more."""
    try:
        network(torch.empty(2, 3, side, side, device="meta"))
    except Exception:  # noqa: BLE001 - of whatever kind a model raises
        return False
    return True


@cache
def _unfitting(choice: WorkloadChoice, training: Training) -> str | None:
    """Why a file of first weights does not fit the network on its data; None if it does."""
    try:
        open_workload(choice, training, torch.device("cpu")).build_network(0)
    except RunError as error:
        return str(error)
    return None


_UNREPEATABLE = (
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool2d,
    nn.AvgPool3d,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    nn.MaxUnpool1d,
    nn.MaxUnpool2d,
    nn.MaxUnpool3d,
    nn.ReflectionPad1d,
    nn.ReflectionPad2d,
    nn.ReflectionPad3d,
)
"""Layers whose gradient on a GPU torch's deterministic mode refuses; see
`torch.use_deterministic_algorithms`."""


def _unrepeatable(build: Callable[[int, int], nn.Module]) -> str | None:
    """The first layer of a network that deterministic training on a GPU would stop at, if known."""
    network = _without_memory(build)
    layers = network.modules() if network else ()
    return next((str(layer) for layer in layers if _is_unrepeatable(layer)), None)


def _without_memory(build: Callable[[int, int], nn.Module]) -> nn.Module | None:
    """The network with some channels and classes, without values; None if it cannot be built so."""
    try:
        with torch.device("meta"):
            return build(3, 10)
    except Exception:  # noqa: BLE001 - such as one that reads its first weights: the run will tell
        return None


def _is_unrepeatable(layer: nn.Module) -> bool:
    if not isinstance(layer, _UNREPEATABLE):
        return False
    # An average over all pixels is a plain mean, which repeats.
    averages = isinstance(layer, nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d)
    return not (averages and _is_one(layer.output_size))


def _is_one(size: object) -> bool:
    sizes = size if isinstance(size, tuple) else (size,)
    return all(each == 1 for each in sizes)
