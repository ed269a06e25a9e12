"""Data sets, models, sensors and engines by name, own and third-party, imported when first used.

Another package adds to a kind by an entry point in its group (Python Packaging User Guide, "Entry
points specification"), such as

    [project.entry-points."energy_harness.models"]
    my_net = "my_package.nets:my_net"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

from harness.errors import UsageError, nearest
from harness.utils.packages import entry_points_of


class Catalogue(Mapping[str, str]):
    """From names of one kind to where each is found, as `package.module:name`.

    Args:
        kind: The kind, in the plural; the group of entry points is `energy_harness.<kind>`.
        own: What comes with the harness.
    """

    def __init__(self, kind: str, own: Mapping[str, str]) -> None:
        self.group = f"energy_harness.{kind}"
        self._own = own

    def __getitem__(self, name: str) -> str:
        """Where `name` is found.

        Raises:
            KeyError: Nowhere.
        """
        return self._own[name] if name in self._own else self._others[name]

    def __iter__(self) -> Iterator[str]:
        """All names, those of other packages last."""
        return iter({**self._own, **self._others})

    def __len__(self) -> int:
        """How many there are."""
        return len({**self._own, **self._others})

    def is_own(self, name: str) -> bool:
        """Whether `name` comes with the harness."""
        return name in self._own

    def load(self, name: str) -> Any:
        """What `name` stands for.

        Raises:
            UsageError: It is unknown, or its package does not load.
        """
        if name not in self:
            raise UsageError(f"'{name}' is unknown; {nearest(name, self)}")
        target = self[name]
        if name in self._own:
            return resolve(target)
        try:
            return resolve(target)
        except Exception as error:  # noqa: BLE001 - a third-party package must not end the harness with a traceback
            raise UsageError(f"entry point {self.group}:{name} does not load: {error}") from None

    @cached_property
    def _others(self) -> dict[str, str]:
        """What other packages add.

        Raises:
            UsageError: Two stand for one name.
        """
        found: dict[str, str] = {}
        for entry in entry_points_of(self.group):
            taken = self._own.get(entry.name) or found.get(entry.name, entry.value)
            if taken != entry.value:
                raise UsageError(
                    f"entry point {self.group}:{entry.name} ({entry.value}): the name stands for "
                    f"{taken} already"
                )
            found[entry.name] = entry.value
        return found


_DATA = "harness.workloads.data"
_MODELS = "harness.workloads.models"
_METERS = "harness.energy.sensors"

DATA = Catalogue(
    "data",
    {
        "digits": f"{_DATA}.digits:load",
        "mnist": f"{_DATA}.torchvision_sets:mnist",
        "fashion_mnist": f"{_DATA}.torchvision_sets:fashion_mnist",
        "cifar10": f"{_DATA}.torchvision_sets:cifar10",
        "cifar100": f"{_DATA}.torchvision_sets:cifar100",
        "imagenet": f"{_DATA}.folder:imagenet",
        "folder": f"{_DATA}.folder:folder",
        "python_docs": f"{_DATA}.text:python_docs",
        "text": f"{_DATA}.text:text",
    },
)
"""From a name to a function of a `WorkloadChoice` that returns one of
`harness.workloads.loaded.Loaded`."""

TEXTS = frozenset({"python_docs", "text"})
"""Data of the harness that are tokens, not images."""

MODELS = Catalogue(
    "models",
    {
        "vgg_tiny": f"{_MODELS}.vgg:vgg_tiny",
        "vgg_small": f"{_MODELS}.vgg:vgg_small",
        "vgg16": f"{_MODELS}.vgg:vgg16",
        "resnet18": f"{_MODELS}.resnet:resnet18",
        "resnet18_gn": f"{_MODELS}.resnet:resnet18_gn",
        "resnet20": f"{_MODELS}.resnet:resnet20",
        "resnet56": f"{_MODELS}.resnet:resnet56",
        "preresnet101": f"{_MODELS}.preresnet:preresnet101",
        "mobilenet_v2": f"{_MODELS}.mobilenet:mobilenet_v2",
        "vit_tiny": f"{_MODELS}.transformers:vit_tiny",
        "gpt_tiny": f"{_MODELS}.transformers:gpt_tiny",
    },
)
"""From a name to a function `build(inputs, outputs) -> torch.nn.Module`: channels and classes of
images, context and vocabulary of text; in general the size of a batch of inputs in its second
dimension, and how many outputs there are."""

TEXT_MODELS = frozenset({"gpt_tiny"})
"""Models of the harness that take tokens, not images."""

TASKS = Catalogue(
    "tasks",
    {
        "classification": "harness.workloads.task:Classification",
        "language": "harness.workloads.task:Language",
    },
)
"""From a name to a subclass of `harness.Task`."""

TORCHVISION = "torchvision/"
"""Before the name of a torchvision network."""
TIMM = "timm/"
"""Before the name of a network of timm, which the extra of that name brings."""

METERS = Catalogue(
    "meters",
    {
        "nvml": f"{_METERS}.nvml:find",
        "rapl": f"{_METERS}.rapl:find",
        "zeus": f"{_METERS}.zeus_devices:find",
        "plugs": f"{_METERS}.plugs:find",
        "ipmi": f"{_METERS}.ipmi:find",
        "redfish": f"{_METERS}.redfish:find",
        "hwmon": f"{_METERS}.hwmon:find",
        "raspberry_pi": f"{_METERS}.raspberry_pi:find",
        "battery": f"{_METERS}.battery:find",
        "estimate": f"{_METERS}.estimate:find",
    },
)
"""From a kind of sensor to a function `find(setup: MeterSetup) -> Found`, of
`harness.energy.sensors.base`."""

ENGINES = Catalogue(
    "engines",
    {
        "local": "harness.scheduler.local:LocalEngine",
        "slurm": "harness.scheduler.slurm:SlurmEngine",
    },
)
"""From a kind of engine to what makes one of an `Assignment` (harness.scheduler.engine)."""


def resolve(target: str) -> Any:
    """The object behind `package.module:name`; the module itself where there is no name."""
    module, _, name = target.partition(":")
    found = import_module(module)
    for part in filter(None, name.split(".")):
        found = getattr(found, part)
    return found


def resolve_model(name: str) -> Any:
    """The function that builds the model called `name`.

    Raises:
        UsageError: There is none, or it does not load.
    """
    if name.startswith(TORCHVISION):
        builder = resolve(f"{_MODELS}.torchvision_nets:builder")
        return builder(name.removeprefix(TORCHVISION))
    if name.startswith(TIMM):
        return resolve(f"{_MODELS}.timm_nets:builder")(name.removeprefix(TIMM))
    return MODELS.load(name)
