"""Train with interchangeable methods under one harness, and measure what each costs in energy.

The public names below are imported when first used, so that `import harness` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harness.api import measure as measure
    from harness.api import run as run
    from harness.errors import MeasurementError as MeasurementError
    from harness.errors import RunError as RunError
    from harness.errors import UsageError as UsageError
    from harness.method.base import ChannelPruningMethod as ChannelPruningMethod
    from harness.method.base import Method as Method
    from harness.method.base import Phases as Phases
    from harness.method.base import PruneAtInit as PruneAtInit
    from harness.method.phases import Budget as Budget
    from harness.method.phases import Do as Do
    from harness.method.phases import Finished as Finished
    from harness.method.phases import Freeze as Freeze
    from harness.method.phases import Inspect as Inspect
    from harness.method.phases import Mask as Mask
    from harness.method.phases import Moved as Moved
    from harness.method.phases import Recall as Recall
    from harness.method.phases import Record as Record
    from harness.method.phases import Reinitialise as Reinitialise
    from harness.method.phases import Resize as Resize
    from harness.method.phases import Rewind as Rewind
    from harness.method.phases import Shrink as Shrink
    from harness.method.phases import Shuffle as Shuffle
    from harness.method.phases import Snapshot as Snapshot
    from harness.method.phases import Train as Train
    from harness.method.train_options import DropLayers as DropLayers
    from harness.method.train_options import DropTokens as DropTokens
    from harness.method.train_options import LayerRate as LayerRate
    from harness.method.train_options import Rewire as Rewire
    from harness.method.train_options import Select as Select
    from harness.method.train_options import SnapshotAt as SnapshotAt
    from harness.network.load import load_network as load_network
    from harness.network.load import predict as predict
    from harness.pruning.batch import Batch as Batch
    from harness.pruning.batch import output_of as output_of
    from harness.pruning.channel_mask import ChannelMask as ChannelMask
    from harness.pruning.lasso import dead_channels as dead_channels
    from harness.pruning.lasso import group_lasso_weight as group_lasso_weight
    from harness.pruning.questions import bn_channel_mask as bn_channel_mask
    from harness.pruning.questions import shuffled_channels as shuffled_channels
    from harness.pruning.questions import uniform_channels as uniform_channels
    from harness.pruning.weights import Scores as Scores
    from harness.pruning.weights import erdos_renyi as erdos_renyi
    from harness.pruning.weights import magnitude as magnitude
    from harness.pruning.weights import prunable_weights as prunable_weights
    from harness.results.table import load as load
    from harness.runner.method_check import check_method as check_method
    from harness.settings.metric import Metric as Metric
    from harness.settings.settings import WorkloadChoice as WorkloadChoice
    from harness.settings.types import Count as Count
    from harness.settings.types import Positive as Positive
    from harness.settings.types import Precision as Precision
    from harness.settings.types import Ratio as Ratio
    from harness.settings.types import Share as Share
    from harness.settings.types import Weight as Weight
    from harness.workloads.images import ImageFiles as ImageFiles
    from harness.workloads.images import Images as Images
    from harness.workloads.samples import Samples as Samples
    from harness.workloads.task import Task as Task
    from harness.workloads.tokens import Tokens as Tokens

_HOMES = {
    "harness.method.base": ("ChannelPruningMethod", "Method", "Phases", "PruneAtInit"),
    "harness.method.phases": (
        *("Budget", "Do", "Finished", "Freeze", "Inspect", "Mask", "Moved", "Recall"),
        *("Record", "Reinitialise", "Resize", "Rewind", "Shrink", "Shuffle", "Snapshot", "Train"),
    ),
    "harness.method.train_options": (
        *("DropLayers", "DropTokens", "LayerRate", "Rewire", "Select", "SnapshotAt"),
    ),
    "harness.network.load": ("load_network", "predict"),
    "harness.pruning.batch": ("Batch", "output_of"),
    "harness.pruning.channel_mask": ("ChannelMask",),
    "harness.runner.method_check": ("check_method",),
    "harness.errors": ("MeasurementError", "RunError", "UsageError"),
    "harness.pruning.lasso": ("dead_channels", "group_lasso_weight"),
    "harness.pruning.questions": ("bn_channel_mask", "shuffled_channels", "uniform_channels"),
    "harness.pruning.weights": ("Scores", "erdos_renyi", "magnitude", "prunable_weights"),
    "harness.settings.types": ("Count", "Positive", "Precision", "Ratio", "Share", "Weight"),
    "harness.results.table": ("load",),
    "harness.api": ("measure", "run"),
    "harness.settings.settings": ("WorkloadChoice",),
    "harness.settings.metric": ("Metric",),
    "harness.workloads.images": ("ImageFiles", "Images"),
    "harness.workloads.samples": ("Samples",),
    "harness.workloads.task": ("Task",),
    "harness.workloads.tokens": ("Tokens",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604 - the names are strings


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)
