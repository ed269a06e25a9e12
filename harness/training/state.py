"""What training changes: the network, its optimizer, its masks, and the place on the schedule.

Random streams need no saved state: each is a pure function of its purpose. A resumed run therefore
draws what the uninterrupted one would have drawn, and two methods with the same seed see the same
weights at the start and the same data in the same epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms import functional

from harness.errors import RunError
from harness.method.train_options import LayerRate
from harness.pruning.batch import Batch
from harness.pruning.channel_mask import ChannelMask
from harness.pruning.channels import shrink
from harness.pruning.gates import fold_gates
from harness.pruning.removal import carried, take
from harness.settings.settings import Training
from harness.settings.types import Precision
from harness.training import tensor_files as files
from harness.training.average import new_average
from harness.training.compiling import compiled, forget_compiled
from harness.training.distributed.world import ALONE, World
from harness.training.frozen import hold_statistics, parameters_of
from harness.training.optimizer import laid_out_like, load_moments, make_optimizer, moments
from harness.training.precision import in_precision
from harness.workloads.workload import Workload


def stream(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one run, such as `stream(0, "epoch", 3)`."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


Structure = tuple[tuple[int, ...], ...]
"""The shapes of a network's parameters, in order."""


class TrainingState:
    """Everything a checkpoint must hold. All of it is tensors and plain values, never pickles.

    Attributes:
        network: In today's structure.
        optimizer: The recipe's, over today's parameters that train.
        shrinks: The channel masks removed so far, in order; replayed on a fresh network they give
            today's structure.
        frozen: Names of the parameters that a method keeps from training.
        holds_statistics: Whether BatchNorm with a frozen scale keeps its running statistics.
        image_size: Shorter side of the images that it trains on; None for their own.
        schedule_epoch: Place on the learning-rate schedule.
        world: The processes that train the run together.
        epochs_trained: Epochs trained in all, which also numbers the random streams.
        samples_trained: How many samples it stepped on in all.
        losses: The latest loss of each training sample, shape (samples,), nan where it was never
            seen; None unless a method chose samples by it.
        average: The moving average of the parameters, by name; empty without `ema`.
        graphs: Captured training steps of today's structure, by what they rest on.
        stepped: For what each structure has made its first steps (`harness.training.ahead`).
    """

    def __init__(
        self,
        workload: Workload,
        training: Training,
        seed: int,
        snapshot_file: Callable[[str], Path],
        world: World = ALONE,
    ) -> None:
        """Start with the dense network and the weights that `seed` draws.

        Args:
            workload: Data and model.
            training: The recipe.
            seed: The run's seed.
            snapshot_file: The file of a snapshot, by name. Snapshots are written once, and not
                again with every checkpoint: methods that take them should not pay for it twice.
            world: The processes that train the run together.
        """
        self.workload = workload
        self.world = world
        self._training = training
        self._seed = seed
        self._masks: dict[str, Tensor] = {}
        self.shrinks: list[ChannelMask] = []
        self.frozen: list[str] = []
        self.holds_statistics = False
        self.image_size: int | None = None
        self.schedule_epoch = 0.0
        self.epochs_trained = 0
        self.samples_trained = 0
        self.losses: Tensor | None = None
        self.stepped: dict[Structure, set[str]] = {}
        self._snapshot_file = snapshot_file
        self._build()

    def _build(self) -> None:
        self.network = self.workload.build_network(stream(self._seed, "weights"))
        self._hold_frozen()
        self._renew()

    def _hold_frozen(self) -> None:
        parameters = dict(self.network.named_parameters())
        for name in self.frozen:
            parameters[name].requires_grad_(False).grad = None  # or a clipped norm would count it

    def _renew(self) -> None:
        """Parameters are other objects than before, so what was made for the old ones goes."""
        if self._training.compile:
            forget_compiled()
        self._rates: tuple[LayerRate, ...] = ()
        self.optimizer = make_optimizer(self.network, self._training, self.workload.device)
        self.average = new_average(self.network) if self._training.ema else {}
        self._forward: dict[Precision, nn.Module] = {}
        self.graphs: dict[tuple[Any, ...], Any] = {}

    def forward(self, precision: Precision) -> nn.Module:
        """The network as it trains in `precision`, on the same parameters; compiled if asked to."""
        if precision not in self._forward:
            module = self.world.wrap(in_precision(self.network, precision))
            if self._training.compile:
                module = compiled(module, self._training.compile)
            self._forward[precision] = module
        return self._forward[precision]

    def in_training(self, precision: Precision) -> nn.Module:
        """`forward`, and the network itself, in training mode but for statistics that are held."""
        forward = self.forward(precision)
        for module in (forward, self.network):
            module.train()
            if self.holds_statistics:
                hold_statistics(module)
        return forward

    def group_by(self, rates: tuple[LayerRate, ...]) -> None:
        """Group what the optimizer steps on by learning rates of layers' own.

        Raises:
            RunError: The network has no such parameters.
        """
        if rates == self._rates:
            return
        kept = moments(self.optimizer, self.network)
        layers = [parameters_of(self.network, rate.names) for rate in rates]
        self.optimizer = make_optimizer(self.network, self._training, self.workload.device, layers)
        load_moments(self.optimizer, self.network, kept)
        self.graphs = {}
        self._rates = rates

    def for_evaluation(self) -> Callable[[Any], Any]:
        """The network in evaluation mode, with the averaged weights where there are any."""
        network = self.network.eval()
        if not self.average:
            return network
        return partial(torch.func.functional_call, network, self.average)

    @torch.no_grad()
    def finish(self) -> None:
        """Make the network what leaves the run: with averaged weights, and gates folded away.

        It is evaluated from now on, but no longer trained.
        """
        parameters = dict(self.network.named_parameters())
        for name, value in self.average.items():
            parameters[name].copy_(value)
        self.average = {}
        fold_gates(self.network)

    def has_forward(self, precision: Precision) -> bool:
        """Whether `forward` has been asked for since the structure last changed."""
        return precision in self._forward

    @property
    def masks(self) -> dict[str, Tensor]:
        """Ones and zeros by parameter name, for the weights held at zero."""
        return self._masks

    @masks.setter
    def masks(self, masks: Mapping[str, Tensor]) -> None:
        parameters = dict(self.network.named_parameters())
        self._masks = {
            name: laid_out_like(parameters[name], mask.to(parameters[name].device))
            for name, mask in masks.items()
        }

    def masked(self) -> dict[str, nn.Parameter]:
        """The parameters that have a mask, by name."""
        parameters = dict(self.network.named_parameters())
        return {name: parameters[name] for name in self.masks}

    def apply_masks(self) -> None:
        """Set masked weights back to zero."""
        hold_at_zero(list(self.masked().values()), list(self.masks.values()))
        if self.average:
            hold_at_zero([self.average[name] for name in self.masks], list(self.masks.values()))

    def agree_on_masks(self) -> None:
        """Hold the weight masks of the first process, and its zeros."""
        if self.world.size > 1:
            masks = self.world.broadcast_object(
                lambda: {name: m.cpu() for name, m in self.masks.items()}
            )
            self.masks = {name: mask.to(self.workload.device) for name, mask in masks.items()}
        self.apply_masks()

    def shrink(self, mask: ChannelMask) -> None:
        """Remove channels; what is kept of the survivors goes along: optimizer, average, masks."""
        before, average = moments(self.optimizer, self.network), self.average
        index = shrink(self.network, mask, self.workload.example)
        self.workload.lay_out(self.network)
        self.masks = {name: take(mask, index[name]) for name, mask in self.masks.items()}
        self._renew()
        load_moments(self.optimizer, self.network, carried(before, index))
        self._load_average({name: take(each, index[name]) for name, each in average.items()})
        self.shrinks.append(mask)

    def freeze(self, names: str | Sequence[str], *, statistics: bool = False) -> int:
        """Freeze these parameters, and let those train again that were frozen by this before.

        Args:
            names: As of `Freeze`.
            statistics: Likewise.

        Returns:
            How many numbers train.

        Raises:
            RunError: The network has no such parameters, or no others.
        """
        parameters = dict(self.network.named_parameters())
        chosen = parameters_of(self.network, names)
        for name in self.frozen:
            parameters[name].requires_grad_(True)
        self.frozen = [name for name in chosen if parameters[name].requires_grad]
        before, average = moments(self.optimizer, self.network), self.average
        self.holds_statistics = statistics
        self._hold_frozen()
        training = sum(each.numel() for each in parameters.values() if each.requires_grad)
        if not training:
            raise RunError("Freeze leaves no parameter to train")
        self._renew()
        load_moments(self.optimizer, self.network, before)
        self._load_average(average)
        return training

    def resize(self, image_size: int | None) -> None:
        """Train on images of another size from now on; see `Resize`."""
        self.image_size = image_size
        if self._training.compile:
            forget_compiled()
        self._forward = {}

    def resized(self, batch: Batch) -> Batch:
        """A batch with its images as large as they are to be trained on."""
        if self.image_size is None:
            return batch
        images = functional.resize(batch.inputs, [self.image_size], antialias=True)
        return replace(batch, inputs=images.contiguous(memory_format=self.workload.layout))

    @torch.no_grad()
    def follow_weights(self) -> None:
        """Follow up on weights that a method's own function has set in the first process."""
        self.world.broadcast(
            [each.detach() for each in (*self.network.parameters(), *self.network.buffers())]
        )
        self.workload.lay_out(self.network)
        self.optimizer.zero_grad(set_to_none=True)
        self.graphs = {}  # weights may be at other places
        self.apply_masks()
        if self.average:
            self.average = new_average(self.network)

    def _load_average(self, saved: Mapping[str, Tensor]) -> None:
        for name, value in self.average.items():
            value.copy_(saved[name])

    def reinitialise(self, draw: int) -> None:
        """Re-initialise the weights of the current structure; momentum and schedule start over."""
        seed = stream(self._seed, "reinitialise", draw)
        if self.workload.choice.init == "builder":  # which knows the dense network alone
            self.network = self.workload.build_network(seed, drawn=True)
            for mask in self.shrinks:
                shrink(self.network, mask, self.workload.example)
            self.workload.lay_out(self.network)
            self._hold_frozen()
        else:
            self.workload.initialise(self.network, seed)
        self._renew()
        self.losses = None
        self.schedule_epoch = 0.0
        self.apply_masks()

    def take_snapshot(self, name: str, place: float | None = None) -> None:
        """Keep weights, momentum, structure and place on the schedule under `name`.

        Args:
            name: For `rewind`.
            place: The place on the schedule, where it is taken within an epoch.
        """
        if self.world.is_first:
            at = {} if place is None else {"schedule_epoch": place}
            files.save(self._snapshot_file(name), self._weights() | at)
        self.world.barrier()  # before another one reads it

    def has_snapshot(self, name: str) -> bool:
        """Whether there is a snapshot of this name."""
        return self.world.broadcast_object(self._snapshot_file(name).exists)

    @torch.no_grad()
    def moved_since(self, name: str) -> float:
        """The distance of all parameters from those of a snapshot, as a share of their norm then.

        Raises:
            RunError: It was never taken, or is of another structure.
        """
        snapshot = files.load(self._snapshot_file(name), self.workload.device)
        parameters = dict(self.network.named_parameters())
        saved = {} if snapshot is None else snapshot["network"]
        then = {key: saved[key] for key in parameters if key in saved}
        shapes, earlier = ({key: p.shape for key, p in each.items()} for each in (parameters, then))
        if shapes != earlier:
            raise RunError(f"there is no snapshot '{name}' of a network of this structure")
        norms = [
            torch.stack([torch.linalg.vector_norm(each) for each in tensors])
            for tensors in ([p - then[key] for key, p in parameters.items()], then.values())
        ]
        moved, whole = (float(torch.linalg.vector_norm(each)) for each in norms)
        return moved / whole

    def rewind(self, name: str) -> None:
        """Return to a snapshot, in today's structure and under today's masks.

        Raises:
            RunError: It was never taken.
        """
        snapshot = files.load(self._snapshot_file(name), self.workload.device)
        if snapshot is None:
            raise RunError(f"the method rewinds to '{name}' but never took that snapshot")
        since = self.shrinks[len(snapshot["shrinks"]) :]
        masks, self.masks = self.masks, {}
        self._load_weights(snapshot)
        for mask in since:
            self.shrink(mask)
        self.masks = masks
        self.apply_masks()

    def _weights(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": moments(self.optimizer, self.network),
            "average": self.average,
            "shrinks": [dict(mask.layers) for mask in self.shrinks],
            "schedule_epoch": self.schedule_epoch,
        }

    def _load_weights(self, saved: dict[str, Any]) -> None:
        self.shrinks = []
        self._build()
        for layers in saved["shrinks"]:
            self.shrink(ChannelMask(layers))
        self.network.load_state_dict(saved["network"])
        load_moments(self.optimizer, self.network, saved["optimizer"])
        self._load_average(saved.get("average", {}))
        self.schedule_epoch = saved["schedule_epoch"]

    def state_dict(self) -> dict[str, Any]:
        """All of the state, as tensors and plain values."""
        return {
            **self._weights(),
            "masks": self.masks,
            "epochs_trained": self.epochs_trained,
            "samples_trained": self.samples_trained,
            "losses": self.losses,
            "frozen": self.frozen,
            "holds_statistics": self.holds_statistics,
            "image_size": self.image_size,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Become what was saved, from whatever state this is."""
        self.masks = {}
        self.frozen = saved.get("frozen", [])
        self.holds_statistics = saved.get("holds_statistics", False)
        self.image_size = saved.get("image_size")
        self._load_weights(saved)
        self.masks = saved["masks"]
        self.epochs_trained = saved["epochs_trained"]
        self.samples_trained = saved.get("samples_trained", 0)
        self.losses = saved.get("losses")


@torch.no_grad()
def hold_at_zero(weights: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
    """Multiply weights by their masks, in place."""
    if weights:
        torch._foreach_mul_(list(weights), list(masks))
