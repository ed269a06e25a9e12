"""The processes that train one run together: torch's DistributedDataParallel, one GPU each.

All hold the same weights and walk through the same phases; each computes on its share of every
batch. What is decided, the first one decides.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from harness.training.clocks import ClockOffset, compare_clocks
from harness.training.synchronised import synchronised
from harness.workloads.part import WHOLE, Part

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""The others may wait for one that cools down; one that has died is told by the launcher."""
_BLAME = "energy-harness/blame"
_NO_BUFFERS: dict[str, Any] = (
    {"forward_sync_buffers": False}
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else {"broadcast_buffers": False}  # its name before torch 2.12
)


class World:
    """A run in one process: nobody to agree with.

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

    def spread(self, network: nn.Module) -> nn.Module:
        """A module on the same parameters whose gradients and statistics are those of all."""
        return network

    def meet(self) -> None:
        """Wait until all have come here."""

    def decided(self, decide: Callable[[], T]) -> T:
        """What the first process finds; the others do not look."""
        return decide()

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Make tensors what they are in the first process, in place."""

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        return tensor

    def gathered(self, values: Sequence[T]) -> list[T]:
        """What all have, by rank."""
        return list(values)

    def clocks(self) -> list[ClockOffset]:
        """How far the clocks of other nodes are from the first node's, now."""
        return []

    def leave(self) -> None:
        """Nothing is said any more."""

    def accuse(self, reason: str) -> None:
        """Tell the first process why this one cannot go on."""

    def blame(self) -> str | None:
        """Why another process could not go on, if one said so."""
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
        dist.init_process_group(backend, timeout=PATIENCE)

    def spread(self, network: nn.Module) -> nn.Module:
        """See `World.spread`."""
        ids = [self._device.index] if self._device.type == "cuda" else None
        # Statistics are the same everywhere already.
        return DistributedDataParallel(synchronised(network), device_ids=ids, **_NO_BUFFERS)

    def meet(self) -> None:
        """See `World.meet`."""
        # Over the CPU: a barrier of GPUs would be one more piece of work on each.
        dist.all_reduce(torch.zeros(1))

    def decided(self, decide: Callable[[], T]) -> T:
        """See `World.decided`."""
        said: list[Any] = [decide() if self.is_first else None]
        dist.broadcast_object_list(said, src=0, device=torch.device("cpu"))
        found: T = said[0]
        return found

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """See `World.agree`."""
        for tensor in tensors:
            dist.broadcast(tensor, src=0)

    def summed(self, tensor: Tensor) -> Tensor:
        """See `World.summed`."""
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def gathered(self, values: Sequence[T]) -> list[T]:
        """See `World.gathered`."""
        said: list[Any] = [None] * self.size
        # As objects on the CPU: the default would be the GPU of whoever asks.
        for rank in range(self.size):
            each = [values if rank == self.part.rank else None]
            dist.broadcast_object_list(each, src=rank, device=torch.device("cpu"))
            said[rank] = each[0]
        return [value for values in said for value in values]

    def clocks(self) -> list[ClockOffset]:
        """See `World.clocks`."""
        leaders = range(self._per_node, self.size, self._per_node)
        found = [compare_clocks(self.part.rank, leader) for leader in leaders]
        return [ClockOffset(node, *offset) for node, offset in enumerate(found, start=1) if offset]

    def leave(self) -> None:
        """See `World.leave`."""
        dist.destroy_process_group()

    def accuse(self, reason: str) -> None:
        """See `World.accuse`."""
        self._board.set(_BLAME, f"rank {self.part.rank}: {reason}")

    def blame(self) -> str | None:
        """See `World.blame`."""
        if not self._board.check([_BLAME]):
            return None
        said: str = self._board.get(_BLAME).decode()
        return said


def is_silence(error: BaseException) -> bool:
    """Whether an error says no more than that another process does not answer any more."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error)
