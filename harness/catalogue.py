"""The data sets and models there are, by name; nothing is imported before it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DATA = "harness.workloads.data"
_MODELS = "harness.workloads.models"

DATA = {
    "digits": f"{_DATA}.digits:load",
    "mnist": f"{_DATA}.torchvision_sets:mnist",
    "fashion_mnist": f"{_DATA}.torchvision_sets:fashion_mnist",
    "cifar10": f"{_DATA}.torchvision_sets:cifar10",
    "cifar100": f"{_DATA}.torchvision_sets:cifar100",
    "imagenet": f"{_DATA}.folder:imagenet",
    "folder": f"{_DATA}.folder:folder",
}
"""From a name to a function `load(choice: WorkloadChoice) -> Images | ImageFiles`."""

MODELS = {
    "vgg_small": f"{_MODELS}.vgg:vgg_small",
    "vgg16": f"{_MODELS}.vgg:vgg16",
    "resnet18": f"{_MODELS}.resnet:resnet18",
    "resnet20": f"{_MODELS}.resnet:resnet20",
    "resnet56": f"{_MODELS}.resnet:resnet56",
    "preresnet101": f"{_MODELS}.preresnet:preresnet101",
    "mobilenet_v2": f"{_MODELS}.mobilenet:mobilenet_v2",
}
"""From a name to a function `build(channels, classes) -> torch.nn.Module`, for small images."""

TORCHVISION = "torchvision/"
"""Before the name of a torchvision network."""


def resolve(target: str) -> Any:
    """The object behind `package.module:name`."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def resolve_model(name: str) -> Any:
    """The function that builds the model called `name`."""
    if name.startswith(TORCHVISION):
        builder = resolve(f"{_MODELS}.torchvision_nets:builder")
        return builder(name.removeprefix(TORCHVISION))
    return resolve(MODELS[name])
