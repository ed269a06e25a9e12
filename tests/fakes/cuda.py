"""Tensors of the CPU that pass for tensors of a GPU: what a GPU would refuse or wait for shows.

Everything is computed on the CPU. Each storage is marked if it passes for one on "cuda:0". So
operators that meet both kinds of tensors raise as CUDA's do, and what makes Python wait for the
device is noted. Unlike in torch's FakeTensorMode values are real, so a whole run can be walked
through, with its backward passes and its removals of channels.

What it cannot show: kernels that CUDA does not have, strides that its kernels refuse, rounding.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
COPIES = {aten._to_copy, aten.copy_, aten.copy}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
WITHOUT_SCALARS = {aten.cat, aten.stack, aten.index_select, aten.gather, aten.scatter}
WAITING = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
    aten.repeat_interleave,
}
"""Whose result, or its size, is known to Python only once the device has come so far."""
_MOVES = ("to", "cuda", "cpu")
_real_device = torch.Tensor.device


class StandInCuda:
    """A GPU that is none, for the time of `on_stand_in_cuda`.

    Attributes:
        waits: Where Python waited for the device while `watched`, innermost call last.
    """

    def __init__(self) -> None:
        self.waits: list[str] = []
        self._watching = False
        # A weak reference keeps the address of a storage from being used again.
        self._storages: dict[int, StorageWeakRef] = {}
        self._undecided: dict[int, StorageWeakRef] = {}

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor passes for one of the GPU."""
        return tensor.untyped_storage()._cdata in self._storages

    def take(self, tensor: Tensor) -> None:
        """Have it pass for one of the GPU, and all that share its memory."""
        storage = tensor.untyped_storage()
        self._storages[storage._cdata] = StorageWeakRef(storage)

    def release(self, tensor: Tensor) -> None:
        """Have it be one of the CPU again."""
        self._storages.pop(tensor.untyped_storage()._cdata, None)

    def leave_open(self, tensor: Tensor) -> None:
        """Let it fit either device: a backward pass makes its own zeros on the CPU here."""
        storage = tensor.untyped_storage()
        self._undecided[storage._cdata] = StorageWeakRef(storage)

    def is_elsewhere(self, tensor: Tensor) -> bool:
        """Whether a tensor is one of the CPU, beyond doubt."""
        return not self.holds(tensor) and tensor.untyped_storage()._cdata not in self._undecided

    @contextmanager
    def watched(self, *, watching: bool = True) -> Iterator[None]:
        """Note every wait for the device within."""
        before, self._watching = self._watching, watching
        try:
            yield
        finally:
            self._watching = before

    def wait(self, why: str) -> None:
        """Python waits for the device here."""
        if self._watching:
            frames = traceback.extract_stack()
            own = [f for f in frames if "/harness/" in f.filename or "/methods/" in f.filename]
            place = f"{own[-1].filename}:{own[-1].lineno}" if own else "outside the harness"
            self.waits.append(f"{why} at {place}")


class _Generator(torch.Generator):
    """A generator that knows for which device it draws."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = super().__new__(cls, "cpu")
        made.of = torch.device(device).type
        return made


class _Asked(TorchFunctionMode):
    """What Python asks of torch: devices by name, and what never reaches an operator."""

    def __init__(self, gpu: StandInCuda) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        own = args[0] if args and isinstance(args[0], Tensor) else None
        if own is not None:
            self._look_at(name, own)
        target, args = self._target(name, args, kwargs)
        if target is None:
            self._check_generator(name, kwargs, own is not None and self._gpu.holds(own))
            found = func(*args, **kwargs)
            if name == "__deepcopy__" and own is not None:  # which copies memory by itself
                self._place(found, self._gpu.holds(own))
            return found
        if own is not None and name in _MOVES:
            return self._moved(own, target, args, kwargs)
        self._check_generator(name, kwargs, target.type == "cuda")
        found = func(*args, **kwargs)
        self._place(found, target.type == "cuda")
        if target.type == "cuda" and name in ("tensor", "as_tensor"):
            self._gpu.wait("a copy to the device")
        return found

    def _look_at(self, name: str, own: Tensor) -> None:
        if self._gpu.holds(own):
            if name in ("numpy", "__array__"):
                raise TypeError("can't convert cuda:0 device type tensor to numpy")
            if name == "tolist":
                self._gpu.wait("tolist")

    def _place(self, found: Any, on_gpu: bool) -> None:
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                (self._gpu.take if on_gpu else self._gpu.release)(tensor)

    @staticmethod
    def _check_generator(name: str, kwargs: dict[str, Any], on_gpu: bool) -> None:
        generator = kwargs.get("generator")
        drawn_on = "cuda" if on_gpu else "cpu"
        if generator is not None and getattr(generator, "of", "cpu") != drawn_on:
            raise RuntimeError(f"Expected a '{drawn_on}' device type for generator in {name}")

    def _moved(self, own: Tensor, target: torch.device, args: Any, kwargs: Any) -> Tensor:
        on_gpu = target.type == "cuda"
        if self._gpu.holds(own) == on_gpu:
            return Tensor.to(own, *args[1:], **kwargs)
        if not (on_gpu and kwargs.get("non_blocking")):
            self._gpu.wait(f"a copy {'to' if on_gpu else 'from'} the device")
        moved = Tensor.to(own, *args[1:], **{**kwargs, "copy": True})
        self._place(moved, on_gpu)
        return moved

    @staticmethod
    def _target(name: str, args: Any, kwargs: dict[str, Any]) -> tuple[torch.device | None, Any]:
        """The device that is asked for, taken out of the arguments."""
        if name in ("cuda", "cpu"):
            return torch.device(name), (args[0], CPU)
        asked = kwargs.get("device")
        if asked is not None:
            kwargs["device"] = CPU
        elif name == "to" and len(args) > 1 and isinstance(args[1], torch.device | str):
            asked, args = args[1], (args[0], CPU, *args[2:])
        elif name == "to" and len(args) > 1 and isinstance(args[1], Tensor):
            asked = args[1].device
            args = (args[0], CPU, args[1].dtype, *args[2:])
        return None if asked is None else torch.device(asked), args


class _Done(TorchDispatchMode):
    """What operators do, those of the backward pass and of optimizers among them."""

    def __init__(self, gpu: StandInCuda) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu, kwargs = self._gpu, kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if gpu.holds(tensor)]
        if there:
            self._check(func, args, kwargs, [each for each in tensors if gpu.is_elsewhere(each)])
        found = func(*args, **kwargs)
        if not tensors and torch._C._current_graph_task_id() != -1:  # made by a backward pass
            for made in tree_leaves(found):
                if isinstance(made, Tensor):
                    gpu.leave_open(made)
        if there:
            known = {tensor.untyped_storage()._cdata for tensor in tensors}
            for made in tree_leaves(found):
                if isinstance(made, Tensor) and made.untyped_storage()._cdata not in known:
                    gpu.take(made)
        return found

    def _check(self, func: Any, args: Any, kwargs: Any, here: list[Tensor]) -> None:
        """Raise where CUDA would; note where Python would wait."""
        operator = func.overloadpacket
        if operator in COPIES:
            to_gpu = operator is not aten.copy_ or self._gpu.holds(args[0])
            blocks = not (
                kwargs.get("non_blocking") or (operator is aten.copy_ and args[2:] == (True,))
            )
            if here and (not to_gpu or blocks):
                self._gpu.wait("a copy between devices")
            return
        if operator in WAITING:
            self._gpu.wait(str(func))
        if operator in INDEXING:
            # A GPU's tensor takes indices of the CPU, at the price of a copy; not the reverse.
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
                self._gpu.wait(f"{func} by a mask")
            if self._gpu.holds(args[0]):
                if any(index is each for index in indices for each in here):
                    self._gpu.wait(f"{func} by indices of the CPU")
                here = [each for each in here if not any(each is index for index in indices)]
        strict = operator in WITHOUT_SCALARS
        if any(strict or each.ndim > 0 for each in here):
            shapes = [tuple(each.shape) for each in here]
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:0 and cpu: {func} with {shapes} on the CPU"
            )


@contextmanager
def on_stand_in_cuda() -> Iterator[StandInCuda]:
    """Within, "cuda" is a device like any other, and its tensors are computed on the CPU."""
    gpu = StandInCuda()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for owner, name, replaced in _replaced(gpu):
            patch.setattr(owner, name, replaced)
        stack.enter_context(_Asked(gpu))
        stack.enter_context(_Done(gpu))
        yield gpu


_group = clip_grad._group_tensors_by_device_and_dtype


def _grouped(lists: Any, **rest: Any) -> Any:
    """As torch groups tensors, but by what Python takes for their devices."""
    return {
        (tensors[0][0].device, dtype): (tensors, numbers)
        for (_, dtype), (tensors, numbers) in _group(lists, **rest).items()
    }


def _replaced(gpu: StandInCuda) -> list[tuple[Any, str, Any]]:
    load, autocast = torch.load, torch.autocast

    def device(tensor: Tensor) -> torch.device:
        return CUDA if gpu.holds(tensor) else _real_device.__get__(tensor)

    def loaded(file: Any, map_location: Any = None, **rest: Any) -> Any:
        content = load(file, map_location="cpu", **rest)
        if map_location is not None and torch.device(map_location).type == "cuda":
            for leaf in tree_leaves(content):
                if isinstance(leaf, Tensor):
                    gpu.take(leaf)
        return content

    def cast(_device_type: str, *rest: Any, **named: Any) -> Any:
        return autocast("cpu", *rest, **named)

    def nothing(*_: Any) -> None:
        pass

    def state_of(_device: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_state(state: Tensor, _device: Any = None) -> None:
        torch.set_rng_state(state)

    replaced: list[tuple[Any, str, Callable[..., Any] | property]] = [
        (torch.Tensor, "device", property(device)),
        (torch.Tensor, "is_cuda", property(gpu.holds)),
        (torch.Tensor, "is_cpu", property(lambda tensor: not gpu.holds(tensor))),
        (torch, "load", loaded),
        (torch, "autocast", cast),
        (clip_grad, "_group_tensors_by_device_and_dtype", _grouped),
        (torch, "Generator", _Generator),
        (torch.cuda, "synchronize", nothing),
        (torch.cuda, "get_rng_state", state_of),
        (torch.cuda, "set_rng_state", set_state),
    ]
    return replaced
