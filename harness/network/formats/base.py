"""What a format is, and which there are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import UsageError, nearest
from harness.settings.catalogue import resolve
from harness.utils.packages import not_installed

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_BATCH = 64
"""Samples that a file for ExecuTorch takes at a time: it plans its memory for that many."""
MAX_REASON = 200

Infer = Callable[["Tensor"], "Tensor"]
"""From a batch of inputs to outputs, both on the CPU; it returns when they are there."""


class Place(NamedTuple):
    """Where a file is run.

    Attributes:
        threads: Of the CPU.
        device: "cpu", or "cuda" and "mps" in PyTorch.
    """

    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: As `export-network --to` takes it.
        file: Name of the file.
        runtime: What runs it: "pytorch", "onnxruntime" or "executorch".
        module: Where `write` and `open_file` are.
        help: What it is, in a line.
        needs: Modules that not every installation has; the extra that brings them is `name`.
        max_batch: Samples that it takes at a time; None for any number.
    """

    name: str
    file: str
    runtime: str
    module: str
    help: str
    needs: tuple[str, ...] = ()
    max_batch: int | None = None

    def write(self, network: nn.Module, inputs: Tensor, folder: Path) -> Path:
        """Write the network to a folder; returns the file's path.

        Args:
            network: On the CPU, in evaluation mode.
            inputs: A batch of two that it takes.
            folder: Is made if necessary; a file of that name in it is replaced.

        Raises:
            UsageError: The format cannot hold this network, or the folder cannot be written.
        """
        path = folder / self.file
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with quiet():
                resolve(f"{self.module}:write")(network, inputs, path)
        except OSError as error:
            raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from None
        except Exception as error:  # noqa: BLE001 - exporters raise whatever their passes raise
            raise UsageError(
                f"this network cannot be exported to {self.name}: {_first_line(error)}"
            ) from None
        return path

    def open_file(self, path: Path, place: Place) -> Infer:
        """The file in its runtime; a call raises UsageError where the runtime cannot do it.

        Raises:
            UsageError: The runtime does not take it, or cannot use the device.
        """
        if place.device != "cpu" and self.runtime != "pytorch":
            raise UsageError(f"--device {place.device}: {self.runtime} runs on the CPU only here")
        try:
            with quiet():
                infer: Infer = resolve(f"{self.module}:open_file")(path, place)
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - runtimes raise whatever they raise
            reason = _first_line(error)
            raise UsageError(f"{path}: {self.runtime} does not take it: {reason}") from None

        def called(inputs: Tensor) -> Tensor:
            try:
                return infer(inputs)
            except Exception as error:  # noqa: BLE001 - as above
                reason = _first_line(error)
                raise UsageError(
                    f"{path}: {self.runtime} cannot run {len(inputs)} samples: {reason}"
                ) from None

        return called


_HERE = "harness.network.formats"

FORMATS = {
    each.name: each
    for each in (
        Format(
            "safetensors",
            "network.safetensors",
            "pytorch",
            f"{_HERE}.safetensors_file",
            "weights, which `harness.load_network` makes a plain module of",
        ),
        Format(
            "torch-export",
            "network.pt2",
            "pytorch",
            f"{_HERE}.torch_export",
            "PyTorch's own graph, which needs no class of the network",
        ),
        Format(
            "onnx",
            "network.onnx",
            "onnxruntime",
            f"{_HERE}.onnx_file",
            "for ONNX Runtime and whatever else reads ONNX",
            ("onnx", "onnxscript", "onnxruntime"),
        ),
        Format(
            "executorch",
            "network.pte",
            "executorch",
            f"{_HERE}.executorch_file",
            "for ExecuTorch on telephones and boards, with XNNPACK's kernels",
            ("executorch.runtime",),
            MAX_BATCH,
        ),
    )
}
"""By name."""

RUNTIMES = {"pytorch": "safetensors", "onnxruntime": "onnx", "executorch": "executorch"}
"""From a runtime to the format whose file it is measured with."""


def find_format(name: str, option: str) -> Format:
    """The format called `name`, all of whose packages are installed.

    Args:
        name: Of the format.
        option: What the user gave, such as "--to onnx", for the message.

    Raises:
        UsageError: There is none, or a package is missing.
    """
    if name not in FORMATS:
        raise UsageError(f"{option}: '{name}' is unknown; {nearest(name, FORMATS)}")
    found = FORMATS[name]
    missing = not_installed(*found.needs)
    if missing:
        raise UsageError(
            f"{option} needs {', '.join(missing)}: pip install 'energy-harness[{name}]'"
        )
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters warn of their own libraries' old names, which no user can change."""
    with warnings.catch_warnings(action="ignore"):
        yield


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:MAX_REASON]
