"""The processes that train one run together: torch's DistributedDataParallel, one GPU each.

All hold the same weights and execute the same phases; each computes on its share of every batch.
The first one decides. BatchNorm has the statistics of the whole batch: methods that read
its scale would else see another network than one process trains. The offset between the monotonic
clocks of two nodes is estimated by exchanging messages (Cristian, 1989).
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from harness.training.precision import twin
from harness.workloads.source import WHOLE, Part

T = TypeVar("T")
TIMEOUT = timedelta(days=1)
"""The others may wait for one that cools down; the launcher reports one that has died."""
_BLAME = "energy-harness/blame"
_NO_BUFFERS: dict[str, Any] = (
    {"forward_sync_buffers": False}
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else {"broadcast_buffers": False}  # its name before torch 2.12
)


class World:
    """A run in one process: no communication.

    Attributes:
        part: Which share of every batch is this process's.
        node: Which node it works on, from 0.
        leads_node: Whether it is the first there, which speaks with the engine.
    """

    part: Part = WHOLE
    node: int = 0
    leads_node: bool = True

    @property
    def is_first(self) -> bool:
        """Whether this process decides, writes and saves."""
        return self.part.rank == 0

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.part.of

    def wrap(self, network: nn.Module) -> nn.Module:
        """A module on the same parameters whose gradients and statistics are those of all."""
        return network

    def without_reducing(self, network: nn.Module) -> AbstractContextManager[Any]:
        """Within, backward passes through a wrapped network add to this process's gradients alone.

        The first one after it makes all that has been added the gradients of all.
        """
        return nullcontext(network)

    def barrier(self) -> None:
        """Wait until all have come here."""

    def broadcast_object(self, decide: Callable[[], T]) -> T:
        """What the first process finds; the others do not look."""
        return decide()

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Make tensors what they are in the first process, in place."""

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        return tensor

    def all_gather(self, values: Sequence[T]) -> list[T]:
        """What all have, by rank."""
        return list(values)

    def clocks(self) -> list[ClockOffset]:
        """How far the clocks of other nodes are from the first node's, now."""
        return []

    def close(self) -> None:
        """Close the process group."""

    def report_error(self, reason: str) -> None:
        """Tell the first process why this one cannot go on."""

    def first_error(self) -> str | None:
        """The first error that another process reported; None if there was none."""
        return None


ALONE = World()


class Ranks(World):
    """One of several processes of a run; the launcher's environment says which.

    Args:
        device: What it computes on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.part = Part(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        self.node = int(os.environ["GROUP_RANK"])
        self.leads_node = os.environ["LOCAL_RANK"] == "0"
        self._per_node = int(os.environ["LOCAL_WORLD_SIZE"])
        address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        # The launcher keeps it: it outlives any of the processes.
        self._board = vars(dist)["TCPStore"](*address, is_master=False)
        # Words go over the CPU, tensors over the GPUs where there are any.
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=TIMEOUT)

    def wrap(self, network: nn.Module) -> nn.Module:
        """See `World.spread`."""
        ids = [self._device.index] if self._device.type == "cuda" else None
        # Statistics are the same everywhere already.
        return DistributedDataParallel(synchronised(network), device_ids=ids, **_NO_BUFFERS)

    def without_reducing(self, network: nn.Module) -> AbstractContextManager[Any]:
        """See `World.without_reducing`."""
        spread: Any = network  # torch's wrapper, which a compiled one passes on
        return spread.no_sync()  # type: ignore[no-any-return]

    def barrier(self) -> None:
        """See `World.meet`."""
        # Over the CPU: a barrier of GPUs would be one more piece of work on each.
        dist.all_reduce(torch.zeros(1))

    def broadcast_object(self, decide: Callable[[], T]) -> T:
        """See `World.decided`."""
        received: list[Any] = [decide() if self.is_first else None]
        dist.broadcast_object_list(received, src=0, device=torch.device("cpu"))
        found: T = received[0]
        return found

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """See `World.agree`."""
        for tensor in tensors:
            dist.broadcast(tensor, src=0)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """See `World.summed`."""
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def all_gather(self, values: Sequence[T]) -> list[T]:
        """See `World.gathered`."""
        received: list[Any] = [None] * self.size
        # As objects on the CPU: the default would be the GPU of the calling process.
        for rank in range(self.size):
            each = [values if rank == self.part.rank else None]
            dist.broadcast_object_list(each, src=rank, device=torch.device("cpu"))
            received[rank] = each[0]
        return [value for values in received for value in values]

    def clocks(self) -> list[ClockOffset]:
        """See `World.clocks`."""
        leaders = range(self._per_node, self.size, self._per_node)
        found = [compare_clocks(self.part.rank, leader) for leader in leaders]
        return [ClockOffset(node, *offset) for node, offset in enumerate(found, start=1) if offset]

    def close(self) -> None:
        """See `World.leave`."""
        dist.destroy_process_group()

    def report_error(self, reason: str) -> None:
        """See `World.accuse`."""
        self._board.set(_BLAME, f"rank {self.part.rank}: {reason}")

    def first_error(self) -> str | None:
        """See `World.blame`."""
        if not self._board.check([_BLAME]):
            return None
        received: str = self._board.get(_BLAME).decode()
        return received


def is_silence(error: BaseException) -> bool:
    """Whether an error says no more than that another process does not answer any more."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error)


EXCHANGES = 32
"""Number of exchanges; the quickest is the most precise."""


@dataclass(frozen=True)
class ClockOffset:
    """A node's clock beside the first node's.

    Attributes:
        node: Which, from 1.
        time_ns: When it was looked at, on the first node's clock.
        offset_ns: How much later the node's clock is.
        uncertainty_ns: Half of the time that the answer took: the truth is within.
    """

    node: int
    time_ns: int
    offset_ns: int
    uncertainty_ns: int


def compare_clocks(rank: int, other: int) -> tuple[int, int, int] | None:
    """Ask process `other` for its clock; what the first process finds, None for all the rest.

    Args:
        rank: The calling process; the first and `other` exchange messages, the rest go on.
        other: A process of another node.
    """
    if rank == other:
        for _ in range(EXCHANGES):
            dist.recv(torch.zeros(1, dtype=torch.int64), src=0)
            dist.send(torch.tensor([time.monotonic_ns()]), dst=0)
    if rank != 0:
        return None
    found = []
    for _ in range(EXCHANGES):
        answer = torch.zeros(1, dtype=torch.int64)
        asked_ns = time.monotonic_ns()
        dist.send(torch.zeros(1, dtype=torch.int64), dst=other)
        dist.recv(answer, src=other)
        took_ns = time.monotonic_ns() - asked_ns
        middle_ns = asked_ns + took_ns // 2
        found.append((took_ns, middle_ns, int(answer) - middle_ns))
    took_ns, middle_ns, offset_ns = min(found)
    return middle_ns, offset_ns, took_ns // 2


def synchronised(network: nn.Module) -> nn.Module:
    """A module with the parameters and buffers of `network`, and synchronised statistics."""
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(twin(network))  # type: ignore[no-untyped-call]
    if next(network.parameters()).device.type != "cuda":
        for module in converted.modules():
            if isinstance(module, nn.SyncBatchNorm):
                module.__class__ = _OnAnyDevice  # type: ignore[assignment]
    return converted


class _OnAnyDevice(_BatchNorm):
    """The same where torch's own does not go: it asks for GPUs."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch calls it so
        if not self.training:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        others = [0, *range(2, input.ndim)]  # all dimensions but that of channels
        shape = [1, -1, *[1] * (input.ndim - 2)]
        count = _summed(torch.tensor(float(input.numel() // input.shape[1])))
        mean = _summed(input.sum(others)) / count
        centred = input - mean.view(shape)
        variance = _summed(centred.square().sum(others)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if (
            self.running_mean is None
            or self.running_var is None
            or self.num_batches_tracked is None
        ):
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum or 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """A sum over processes; its gradient is one, too, since every process has a loss."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _summed(tensor: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]
    return total
