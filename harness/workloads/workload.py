"""One workload: a data set and a model on a device, with its first weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.catalogue import DATA, TORCHVISION, resolve_model
from harness.errors import RunError
from harness.settings import Training, WorkloadChoice
from harness.workloads.checked import checked
from harness.workloads.identity import identity_of
from harness.workloads.images import Images
from harness.workloads.opening import open_sources
from harness.workloads.part import WHOLE, Part
from harness.workloads.place import Place
from harness.workloads.source import Source
from harness.workloads.weights import draw, fixed_parameters, seeded


@dataclass(frozen=True)
class Workload:
    """What is trained on what.

    Attributes:
        device: Where network and batches live.
        train: Training samples.
        validation: What decisions may look at.
        test: Read once, at the end of a run.
        classes: How many there are.
        example: One normalised training image as a batch, shape (1, channels, height, width), to
            trace networks.
        choice: The data set and the model.
        layout: Memory format of the images, and of weights with four dimensions.
    """

    device: torch.device
    train: Source
    validation: Source
    test: Source
    classes: int
    example: Tensor
    choice: WorkloadChoice
    layout: torch.memory_format
    _builder: Callable[[int, int], nn.Module]
    identity: Mapping[str, Any] = field(default_factory=dict)

    def build_network(self, seed: int) -> nn.Module:
        """The dense network with the weights that `seed` draws."""
        with seeded(seed):
            network = self._builder(self.example.shape[1], self.classes)
        draw(network, self.choice, seed)
        return self._placed(network)

    def initialise(self, network: nn.Module, seed: int) -> None:
        """Draw all weights anew, in today's structure.

        Raises:
            RunError: Some can be drawn by nothing but the network's builder, at its full size.
        """
        fixed = fixed_parameters(network)
        if fixed:
            raise RunError(
                f"{self.choice.model} cannot be re-initialised: its parameter '{fixed[0]}' belongs "
                "to a module without reset_parameters; choose another model or method"
            )
        draw(network, self.choice, seed)
        self._placed(network)

    def lay_out(self, network: nn.Module) -> None:
        """Give weights their memory format; removing channels and drawing have lost it."""
        for weight in network.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=self.layout)

    def _placed(self, network: nn.Module) -> nn.Module:
        network.to(self.device)
        self.lay_out(network)
        return network


def open_workload(
    choice: WorkloadChoice, training: Training, device: torch.device, part: Part = WHOLE
) -> Workload:
    """Load the data and lay it out for training; batches are this process's share of them.

    Raises:
        RunError: The data are damaged or do not fit the settings.
    """
    loaded = checked(DATA.load(choice.data)(choice), choice)
    identity = identity_of(choice, None if DATA.is_own(choice.data) else loaded)
    if choice.model.startswith(TORCHVISION) and isinstance(loaded, Images):
        loaded = _in_colour(loaded)
    place = Place(choice, training, device, part)
    opened = open_sources(loaded, place)
    return Workload(
        device=device,
        train=opened.train,
        validation=opened.validation,
        test=opened.test,
        classes=loaded.classes,
        example=opened.example,
        choice=choice,
        layout=place.layout,
        _builder=resolve_model(choice.model),
        identity=identity,
    )


def _in_colour(images: Images) -> Images:
    """Grey images repeated to three channels, which torchvision's networks expect."""
    if images.train_images.shape[1] != 1:
        return images
    train, test = (part.expand(-1, 3, -1, -1) for part in (images.train_images, images.test_images))
    return replace(images, train_images=train, test_images=test)
