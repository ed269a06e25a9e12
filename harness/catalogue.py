"""The data sets and models there are, by name; nothing is imported before it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

DATA = {"digits": "harness.workloads.digits:load"}
"""From a name to a function `load() -> Images`."""

MODELS = {"vgg_small": "harness.workloads.vgg:vgg_small"}
"""From a name to a function `build(channels, classes) -> torch.nn.Module`."""


def resolve(target: str) -> Any:
    """The object behind `package.module:name`."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
