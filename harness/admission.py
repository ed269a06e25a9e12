"""Whether a run can be carried out on this device at all: found out before it begins."""

from __future__ import annotations

import torch

from harness.catalogue import resolve_model
from harness.errors import UsageError
from harness.phases import Budget, Train
from harness.plan import foreseen_phases
from harness.registry import Registry
from harness.spec import RunSpec
from harness.training.graphs import refusal as uncapturable
from harness.training.precision import refusal


def why_not(spec: RunSpec, device: torch.device, processes: int = 1) -> str | None:
    """Why `device` cannot carry out `spec`, with the setting to change; None if it can.

    Args:
        spec: The run.
        device: One of those that it is to run on.
        processes: How many train it together, each on such a device.
    """
    try:
        resolve_model(spec.workload.model)
    except UsageError as error:
        return f"workload.model: {error}"
    said = refusal(spec.training.precision, device, processes)
    if said:
        return f"training.precision: {said}"
    method = Registry.discover(spec.plugins).get(spec.method)(**spec.hyperparameters)
    try:
        phases = foreseen_phases(method, Budget(spec.training.epochs)) or []
    except UsageError as error:
        return str(error)
    trainings = [phase for phase in phases if isinstance(phase, Train)]
    if said := uncapturable(spec.training, trainings, device, processes):
        return said
    asked = {phase.precision for phase in phases if isinstance(phase, Train) and phase.precision}
    refused = (refusal(precision, device, processes) for precision in sorted(asked))
    return next((f"methods.{spec.method}: {said}" for said in refused if said), None)
