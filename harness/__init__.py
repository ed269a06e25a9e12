"""Train with interchangeable methods under one harness, and measure what each costs in energy.

The public names below are imported when first used, so that `import harness` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harness.batch import Batch as Batch
    from harness.channel_mask import ChannelMask as ChannelMask
    from harness.conformance import check_method as check_method
    from harness.errors import MeasurementError as MeasurementError
    from harness.errors import RunError as RunError
    from harness.errors import UsageError as UsageError
    from harness.measuring import measure as measure
    from harness.method import ChannelPruningMethod as ChannelPruningMethod
    from harness.method import Method as Method
    from harness.method import Phases as Phases
    from harness.method import PruneAtInit as PruneAtInit
    from harness.phases import Budget as Budget
    from harness.phases import Finished as Finished
    from harness.phases import Inspect as Inspect
    from harness.phases import Mask as Mask
    from harness.phases import Recall as Recall
    from harness.phases import Record as Record
    from harness.phases import Reinitialise as Reinitialise
    from harness.phases import Rewind as Rewind
    from harness.phases import Rewire as Rewire
    from harness.phases import Shrink as Shrink
    from harness.phases import Shuffle as Shuffle
    from harness.phases import Snapshot as Snapshot
    from harness.phases import SnapshotAt as SnapshotAt
    from harness.phases import Train as Train
    from harness.pruning.lasso import dead_channels as dead_channels
    from harness.pruning.lasso import group_lasso_weight as group_lasso_weight
    from harness.pruning.questions import bn_channel_mask as bn_channel_mask
    from harness.pruning.random_channels import shuffled_channels as shuffled_channels
    from harness.pruning.uniform_channels import uniform_channels as uniform_channels
    from harness.pruning.weights import Scores as Scores
    from harness.pruning.weights import erdos_renyi as erdos_renyi
    from harness.pruning.weights import magnitude as magnitude
    from harness.pruning.weights import prunable_weights as prunable_weights
    from harness.quantities import Count as Count
    from harness.quantities import Positive as Positive
    from harness.quantities import Precision as Precision
    from harness.quantities import Ratio as Ratio
    from harness.quantities import Weight as Weight
    from harness.results.table import load as load
    from harness.running import run as run
    from harness.settings import WorkloadChoice as WorkloadChoice
    from harness.workloads.images import ImageFiles as ImageFiles
    from harness.workloads.images import Images as Images

_HOMES = {
    "harness.method": ("ChannelPruningMethod", "Method", "Phases", "PruneAtInit"),
    "harness.phases": (
        *("Budget", "Finished", "Inspect", "Mask", "Recall", "Record", "Reinitialise"),
        *("Rewind", "Rewire", "Shrink", "Shuffle", "Snapshot", "SnapshotAt", "Train"),
    ),
    "harness.batch": ("Batch",),
    "harness.channel_mask": ("ChannelMask",),
    "harness.conformance": ("check_method",),
    "harness.errors": ("MeasurementError", "RunError", "UsageError"),
    "harness.pruning.lasso": ("dead_channels", "group_lasso_weight"),
    "harness.pruning.questions": ("bn_channel_mask",),
    "harness.pruning.random_channels": ("shuffled_channels",),
    "harness.pruning.uniform_channels": ("uniform_channels",),
    "harness.pruning.weights": ("Scores", "erdos_renyi", "magnitude", "prunable_weights"),
    "harness.quantities": ("Count", "Positive", "Precision", "Ratio", "Weight"),
    "harness.results.table": ("load",),
    "harness.measuring": ("measure",),
    "harness.running": ("run",),
    "harness.settings": ("WorkloadChoice",),
    "harness.workloads.images": ("ImageFiles", "Images"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604 - the names are strings


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)
