"""One workload: a data set and a model on a device, with its augmentation and first weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.batch_norm import scaled_batch_norms
from harness.catalogue import DATA, MODELS, resolve
from harness.settings import Training, WorkloadChoice
from harness.workloads.augment import random_crop, random_flip
from harness.workloads.images import Images, stratified
from harness.workloads.split import Split


@dataclass(frozen=True)
class Workload:
    """What is trained on what.

    Attributes:
        device: Where network and data live.
        train: Training samples.
        validation: What decisions may look at.
        test: Read once, at the end of a run.
        example: A batch of one sample, to trace the network.
    """

    device: torch.device
    train: Split
    validation: Split
    test: Split
    choice: WorkloadChoice
    training: Training
    black: float
    classes: int
    _build: Callable[[int, int], nn.Module]

    @property
    def example(self) -> Tensor:
        """One training sample as a batch, shape (1, channels, height, width)."""
        return self.train.images[:1]

    def build_network(self, seed: int) -> nn.Module:
        """The dense network with the weights that `seed` draws."""
        network = self._build(self.train.images.shape[1], self.classes).to(self.device)
        self.initialise(network, seed)
        self.lay_out(network)
        return network

    def initialise(self, network: nn.Module, seed: int) -> None:
        """Draw all weights anew: PyTorch's defaults, and the stated scale for BatchNorm."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for module in network.modules():
                draw = getattr(module, "reset_parameters", None)
                if callable(draw):
                    module.to("cpu")  # so that the device does not change what is drawn
                    draw()
            for layer in scaled_batch_norms(network).values():
                nn.init.constant_(layer.weight, self.choice.gamma_init)
        network.to(self.device)

    def lay_out(self, network: nn.Module) -> None:
        """Give weights the memory format that the device prefers; pruned ones have lost it."""
        if self.device.type == "cuda":
            for weight in network.parameters():
                if weight.ndim == 4:
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crop and flip a batch, as the recipe says."""
        if self.training.crop_padding:
            images = random_crop(images, self.training.crop_padding, self.black, generator)
        if self.training.flip:
            images = random_flip(images, generator)
        return images


def open_workload(choice: WorkloadChoice, training: Training, device: torch.device) -> Workload:
    """Load the data, split off the validation set, normalise by the training set, move it all."""
    images: Images = resolve(DATA[choice.data])()
    rest, held_out = stratified(images.train_labels, choice.validation_share)
    pixels = images.train_images[rest]
    mean = pixels.mean(dim=(0, 2, 3), keepdim=True)
    spread = pixels.std(dim=(0, 2, 3), keepdim=True)

    def split(part: Tensor, labels: Tensor) -> Split:
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        ready = ((part - mean) / spread).to(device, memory_format=layout)
        return Split(ready, labels.to(device))

    return Workload(
        device=device,
        train=split(pixels, images.train_labels[rest]),
        validation=split(images.train_images[held_out], images.train_labels[held_out]),
        test=split(images.test_images, images.test_labels),
        choice=choice,
        training=training,
        black=float((-mean / spread).mean()),
        classes=images.classes,
        _build=resolve(MODELS[choice.model]),
    )
