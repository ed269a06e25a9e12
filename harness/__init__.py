"""Train with interchangeable methods under one harness, and measure what each costs in energy.

The public names below are imported when first used, so that `import harness` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harness.channel_mask import ChannelMask as ChannelMask
    from harness.method import ChannelPruningMethod as ChannelPruningMethod
    from harness.method import Method as Method
    from harness.method import Phases as Phases
    from harness.phases import Budget as Budget
    from harness.phases import Inspect as Inspect
    from harness.phases import Mask as Mask
    from harness.phases import Record as Record
    from harness.phases import Reinitialise as Reinitialise
    from harness.phases import Rewind as Rewind
    from harness.phases import Shrink as Shrink
    from harness.phases import Snapshot as Snapshot
    from harness.phases import Train as Train
    from harness.pruning.questions import bn_channel_mask as bn_channel_mask
    from harness.pruning.weights import magnitude as magnitude
    from harness.quantities import Count as Count
    from harness.quantities import Ratio as Ratio
    from harness.quantities import Weight as Weight
    from harness.results.table import load as load

_HOMES = {
    "harness.method": ("ChannelPruningMethod", "Method", "Phases"),
    "harness.phases": (
        *("Budget", "Inspect", "Mask", "Record", "Reinitialise"),
        *("Rewind", "Shrink", "Snapshot", "Train"),
    ),
    "harness.channel_mask": ("ChannelMask",),
    "harness.pruning.questions": ("bn_channel_mask",),
    "harness.pruning.weights": ("magnitude",),
    "harness.quantities": ("Count", "Ratio", "Weight"),
    "harness.results.table": ("load",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # noqa: PLE0604 - the names are strings


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)
