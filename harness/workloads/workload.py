"""One workload: a data set and a model on a device, with its initial weights.

Initial weights are a function of the seed alone, on every device and in every memory format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RunError
from harness.pruning.batch import Batch, output_of
from harness.pruning.channels import Gates, missing_gates
from harness.pruning.groups import scaled_norms
from harness.settings.catalogue import DATA, TASKS, TORCHVISION, resolve_model
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.encoding import Encoding
from harness.workloads.images import ImageFiles, Images
from harness.workloads.loaded import Loaded, checked
from harness.workloads.open import open_sources
from harness.workloads.source import WHOLE, LoadingContext, Opened, Part, Source
from harness.workloads.task import Task
from harness.workloads.tokens import Tokens
from harness.workloads.transforms import ZOOM
from harness.workloads.weights_file import WeightsFile


@dataclass(frozen=True)
class Workload:
    """What is trained on what.

    Attributes:
        device: Where network and batches live.
        train: Training samples.
        validation: What decisions may look at.
        test: Read once, at the end of a run.
        outputs: How many a network has: one per class, token, or value.
        example: The inputs of one training sample as a batch, such as a normalised image of shape
            (1, channels, height, width), to trace networks.
        choice: The data set and the model.
        weights: First weights in place of drawn ones, if the choice has a file of them.
        layout: Memory format of the images, and of weights with four dimensions.
        task: How outputs become a loss and a score.
        encoding: How raw inputs become what the network takes.
    """

    device: torch.device
    train: Source
    validation: Source
    test: Source
    outputs: int
    example: Tensor
    choice: WorkloadChoice
    layout: torch.memory_format
    task: Task
    encoding: Encoding
    _builder: Callable[[int, int], nn.Module]
    identity: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightsFile | None = None
    _gates: list[Gates] = field(default_factory=list)
    """What the first network was found to need, since to find it takes a trace."""

    def sample(self, count: int, seed: int) -> Batch:
        """Some training samples for a question or a score, which may ask for the task's loss."""
        return replace(self.train.sample(count, seed), criterion=self._criterion)

    def _criterion(self, outputs: Any, targets: Tensor) -> Tensor:
        return self.task.loss(output_of(outputs), targets)

    def build_network(self, seed: int, *, drawn: bool = False) -> nn.Module:
        """The dense network with its first weights.

        Args:
            seed: What weights follow from that are drawn.
            drawn: Draw all of them, whatever file of weights there is.

        Raises:
            RunError: The file of weights is one of another network.
        """
        with seeded(seed):
            network = self._builder(self.example.shape[1], self.outputs)
        draw(network, self.choice, seed)
        if self.weights and not drawn:
            self.weights.fill(network, self.outputs)
        network = self._with_gates(network)
        if self.weights and not drawn:
            self.weights.fill_gates(network)
        return self._placed(network)

    @property
    def converts_attention(self) -> bool:
        """Whether attention of other libraries became the harness's own in `build_network`."""
        return any(gates.converts for gates in self._gates)

    def _with_gates(self, network: nn.Module) -> nn.Module:
        if not self._gates:
            self._gates.append(gates_for(network, self.choice, self.example))
        return self._gates[0].insert(network)

    def initialise(self, network: nn.Module, seed: int) -> None:
        """Re-initialise all weights in the current structure.

        Raises:
            RunError: Some can be drawn by nothing but the network's builder, at its full size.
        """
        fixed = fixed_parameters(network)
        if fixed:
            raise RunError(
                f"{self.choice.model} cannot be re-initialised: its parameter '{fixed[0]}' belongs "
                "to a module without reset_parameters; set workload.init = 'builder', or choose "
                "another model or method"
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
    task = task_for(choice, training, loaded)
    place = LoadingContext(choice, training, device, part)
    opened = open_sources(loaded, place)
    return Workload(
        device=device,
        train=opened.train,
        validation=opened.validation,
        test=opened.test,
        outputs=loaded.outputs,
        example=opened.example,
        choice=choice,
        layout=place.layout,
        task=task,
        encoding=_encoding_of(loaded, opened, choice, training),
        _builder=resolve_model(choice.model),
        identity=identity,
        weights=WeightsFile(Path(choice.weights)) if choice.weights else None,
    )


def gates_for(network: nn.Module, choice: WorkloadChoice, example: Tensor) -> Gates:
    """The gates that a network gets; none where its norms have scales, unless all are asked for.

    Raises:
        RunError: All are asked for, and the network cannot be traced.
    """
    if choice.gates == "none" or (choice.gates == "auto" and scaled_norms(network)):
        return Gates()
    try:
        return missing_gates(network, example)
    except ValueError as error:
        if choice.gates == "all":
            raise RunError(f"workload.gates = 'all': {error}") from None
        return Gates()


def _encoding_of(
    loaded: Loaded, opened: Opened, choice: WorkloadChoice, training: Training
) -> Encoding:
    """What evaluation does to a sample of a data set before the network sees it."""
    shape = tuple(opened.example.shape[1:])
    if isinstance(loaded, Tokens) and loaded.symbols:
        return Encoding(kind="text", shape=shape, vocabulary=loaded.symbols)
    if opened.normalise is None:
        return Encoding(kind="tensor", shape=shape)
    zoomed = round(min(shape[1:]) * ZOOM) if training.resized_crop else None
    return Encoding(
        kind="image",
        shape=shape,
        mean=tuple(opened.normalise.mean.flatten().tolist()),
        spread=tuple(opened.normalise.spread.flatten().tolist()),
        shorter_side=zoomed or choice.image_size,
        classes=loaded.class_names if isinstance(loaded, ImageFiles) else (),
    )


def task_for(choice: WorkloadChoice, training: Training, loaded: Loaded) -> Task:
    """The task that a study chooses, or else that of its data.

    Raises:
        RunError: The recipe asks for what the task does not have.
    """
    name = choice.task or loaded.task
    task: Task = TASKS.load(name).of(loaded)
    if training.label_smoothing and not task.smooths_labels:
        raise RunError(f"training.label_smoothing: the task '{name}' has no labels to smooth")
    return task


def _in_colour(images: Images) -> Images:
    """Grey images repeated to three channels, which torchvision's networks expect."""
    if images.train_images.shape[1] != 1:
        return images
    train, test = (part.expand(-1, 3, -1, -1) for part in (images.train_images, images.test_images))
    return replace(images, train_images=train, test_images=test)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, torch's generator of the CPU begins at `seed`; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPU, too
        yield


def draw(network: nn.Module, choice: WorkloadChoice, seed: int) -> None:
    """Draw the weights of every module that can, on the CPU; others keep their builder's.

    Where `init` is "builder", all do.

    Args:
        network: Moved to the CPU, and to contiguous weights: numbers are drawn in the order of
            memory, so that another format would get others.
        choice: For `init` and `gamma_init`.
        seed: What the weights follow from.
    """
    with seeded(seed):
        _draw(network, choice)


def _draw(network: nn.Module, choice: WorkloadChoice) -> None:
    if choice.init == "builder":
        return
    network.to("cpu")
    for weight in network.parameters():
        weight.data = weight.data.contiguous()
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    if choice.init == "he":
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                # With torch's fan-out, which does not divide by groups: so do the papers' code and
                # torchvision's networks.
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    for layer in scaled_norms(network).values():
        nn.init.constant_(layer.weight, choice.gamma_init)


def fixed_parameters(network: nn.Module) -> list[str]:
    """Names of the parameters that only the network's builder can draw."""
    return [
        f"{path}.{name}".lstrip(".")
        for path, module in network.named_modules()
        if not callable(getattr(module, "reset_parameters", None))
        for name, _ in module.named_parameters(recurse=False)
    ]
