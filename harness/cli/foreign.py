"""What other packages bring to a study, looked at and tried before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.settings.catalogue import DATA, MODELS, TEXT_MODELS, TEXTS
from harness.settings.run_spec import workloads_of
from harness.settings.settings import image_setting

if TYPE_CHECKING:
    from harness.settings.run_spec import RunSpec
    from harness.settings.settings import WorkloadChoice
    from harness.study.registry import Registry


def check_foreign(specs: list[RunSpec], registry: Registry) -> dict[WorkloadChoice, dict[str, Any]]:
    """Load data of other packages, and try networks that may not fit their data or their weights.

    Args:
        specs: The runs that are to be done.
        registry: Finds their methods.

    Returns:
        The identity of the data of other packages.

    Raises:
        UsageError: They do not load, are not as they must be, or a network or method does not fit.
    """
    for spec in specs:
        key = image_setting(spec.workload, spec.training)
        if key and spec.workload.data in TEXTS:
            raise UsageError(f"{key} is for images, and the data are text; leave it out")
    chosen = [
        choice
        for choice in workloads_of(specs)
        if choice.weights
        or not (MODELS.is_own(choice.model) and DATA.is_own(choice.data) and _fit(choice))
    ]
    if not chosen:
        return {}
    from harness.runner.network_check import check_networks
    from harness.workloads.shape import look_at

    found = {choice: look_at(choice) for choice in chosen if not DATA.is_own(choice.data)}
    tried = [spec for spec in specs if spec.workload in chosen]
    check_networks(tried, registry, {choice: each.shape for choice, each in found.items()})
    return {choice: each.identity for choice, each in found.items()}


def _fit(choice: WorkloadChoice) -> bool:
    """Whether model and data of the harness fit together, for their own task and every method."""
    has_scales = choice.gates != "none"  # of those without BatchNorm
    is_text = choice.data in TEXTS
    return choice.task is None and has_scales and is_text == (choice.model in TEXT_MODELS)
