"""First weights from a file, and how they fit a network: names, shapes, heads of another width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RunError
from harness.pruning.gates import GATE, Gate

_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "state")
"""Under what training scripts keep a state dict beside other things; the last two are ours."""
_NAMED = 3
"""How many names a message has room for."""


@dataclass(frozen=True)
class Fit:
    """How a file of weights fits a network.

    Attributes:
        values: By name in the network, what the file has for it.
        drawn: Parameters of heads that keep the weights they were drawn with, since the file has
            none, or some for another number of outputs.
        unused: Names in the file that the network does not have.
        gates: By name in the network, the gates of a run's own checkpoint.
    """

    values: Mapping[str, Tensor]
    drawn: tuple[str, ...]
    unused: tuple[str, ...]
    gates: Mapping[str, Tensor]


class WeightsFile:
    """A file of safetensors, or a state dict that `torch.save` wrote; nothing in it is run.

    Args:
        path: Where it is.

    Attributes:
        path: The same.
        tensors: By the names that the file has.
        fitted: How it fitted the last network that it was to fill; None before.

    Raises:
        RunError: It is not there, or holds no weights.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fitted: Fit | None = None
        try:
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                loaded: Any = load_file(path)
            else:
                loaded = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise RunError(f"workload.weights: {path}: {error.strerror or error}") from None
        except Exception as error:  # noqa: BLE001 - as many kinds as there are damaged files
            reason = str(error).partition("\n")[0]
            raise RunError(
                f"workload.weights: {path} is neither safetensors nor a state dict that torch.save "
                f"wrote ({reason})"
            ) from None
        self.tensors = _tensors(loaded)
        if not self.tensors:
            raise RunError(f"workload.weights: {path} holds no weights by name")

    @torch.no_grad()
    def fill(self, network: nn.Module, outputs: int) -> None:
        """Give a network the weights of the file; see `fit`."""
        self.fitted = self.fit(network, outputs)
        tensors = network.state_dict()
        for name, value in self.fitted.values.items():
            tensors[name].copy_(value)

    @torch.no_grad()
    def fill_gates(self, network: nn.Module) -> None:
        """Give the gates that the harness has inserted the values of the file, if it has any.

        Raises:
            RunError: The network has no such gate.
        """
        gates = dict(self.fitted.gates) if self.fitted else {}
        for name, module in network.named_modules():
            if isinstance(module, Gate) and f"{name}.weight" in gates:
                module.weight.copy_(gates.pop(f"{name}.weight"))
        if gates:
            raise RunError(
                f"workload.weights: {self.path} has gates ({_some(gates)}) and the network none "
                "there; set workload.gates to what the run had that wrote it"
            )

    def fit(self, network: nn.Module, outputs: int) -> Fit:
        """Find what the file has for each parameter and buffer of `network`.

        Names may have something in front in the file, such as "module.". A head is a layer of
        `outputs` outputs: it may have others in the file, and the last head may be missing there.

        Args:
            network: As its builder made it.
            outputs: How many outputs it has.

        Raises:
            RunError: The file is one of another network.
        """
        wanted = network.state_dict()
        prefix = _prefix(self.tensors, wanted)
        found = {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }
        heads = _heads(network, outputs)
        others = {
            name for name in wanted.keys() & found.keys() if found[name].shape != wanted[name].shape
        }
        of_other_width = {
            name
            for name in others
            if _owner(name) in heads and found[name].shape[1:] == wanted[name].shape[1:]
        }
        absent = [name for name in wanted if name not in found and not _is_count(name)]
        without_head = {name for name in absent if _owner(name) in heads[-1:]}
        if not wanted.keys() & found.keys():
            raise self._other(f"it has {_some(self.tensors)}; the network {_some(wanted)}")
        if missing := [name for name in absent if name not in without_head]:
            raise self._other(f"it lacks {_some(missing)}")
        if wrong := [name for name in wanted if name in others - of_other_width]:
            shapes = f"{_shape(found[wrong[0]])} instead of {_shape(wanted[wrong[0]])}"
            raise self._other(f"{_some(wrong)}: {shapes}")
        drawn = of_other_width | without_head
        gates = {
            name: value
            for name, value in found.items()
            if name not in wanted and _owner(name).endswith(f".{GATE}")
        }
        return Fit(
            {name: found[name] for name in wanted if name in found and name not in drawn},
            tuple(name for name in wanted if name in drawn),
            tuple(
                name for name in self.tensors if name.removeprefix(prefix) not in {*wanted, *gates}
            ),
            gates,
        )

    def _other(self, why: str) -> RunError:
        return RunError(f"workload.weights: {self.path} is of another network: {why}")


def _tensors(loaded: Any) -> dict[str, Tensor]:
    """The tensors by name in what a file held, at its top or under a usual name."""
    while isinstance(loaded, Mapping):
        tensors = {name: each for name, each in loaded.items() if isinstance(each, Tensor)}
        if tensors:
            return tensors
        loaded = next((loaded[name] for name in _WRAPPERS if name in loaded), None)
    return {}


def _prefix(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What stands in front of most names of the file, if those of the network come after it."""
    ends = Counter(
        name[: len(name) - len(end)] for name in given for end in _ends(name) if end in wanted
    )
    return max(ends, key=lambda prefix: (ends[prefix], -len(prefix)), default="")


def _ends(name: str) -> Iterator[str]:
    """A dotted name, and what is left of it without its first parts."""
    parts = name.split(".")
    return (".".join(parts[first:]) for first in range(len(parts)))


def _heads(network: nn.Module, outputs: int) -> list[str]:
    """Layers that may give the network's outputs, in its order."""
    embedded = {
        id(module.weight)
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    weights = {
        name: getattr(module, "weight", None)
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    }
    return [
        name
        for name, weight in weights.items()
        if isinstance(weight, Tensor)
        and weight.ndim > 1
        and len(weight) == outputs
        and id(weight) not in embedded
    ]


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _is_count(name: str) -> bool:
    """Whether it is BatchNorm's count of batches, which older files lack."""
    return name.rpartition(".")[2] == "num_batches_tracked"


def _some(names: Any) -> str:
    listed = list(names)
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "a number"
