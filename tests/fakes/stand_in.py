"""A machine whose GPUs draw a known power, seen by every process through a stand-in of NVML.

    machine = StandIn(folder / "state", gpus=2, power_w=100.0)
    gpu = machine.gpus[0]
    gpu.draw(300.0)                       # from now on
    gpu.counter_update_ms = 20            # any setting of state.h, live
    machine.fault(15, gpu=1)              # "GPU is lost"
    gpu.truth_j(start_ns, end_ns)         # what a meter must find

With `machine.clock_ns` set, time stands still but for the test: hours pass in milliseconds.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fakes import layout
from tests.fakes.fake_gpu import FakeGpu, square

__all__ = ["FakeGpu", "StandIn", "build", "square"]

LIBRARY = "libnvidia-ml.so.1"
FOREVER_NS = 2**63 - 1


def build(folder: Path) -> Path:
    """Compile the stand-in into `folder`; returns the library's path.

    Raises:
        RuntimeError: The library and `layout.py` disagree about the shared state.
    """
    library = folder / LIBRARY
    flags = ["-O1", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    flags += ["-fvisibility=hidden", f"-Wl,-soname,{LIBRARY}", "-o", str(library)]
    sources = sorted(map(str, layout.SOURCES.glob("*.c")))
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("no C compiler ('cc') to build the stand-in NVML with")
    subprocess.run([compiler, *flags, *sources, "-lm"], check=True)
    size = ctypes.CDLL(str(library)).standin_size
    size.restype = ctypes.c_ulong
    if size() != ctypes.sizeof(layout.Machine):
        raise RuntimeError(
            f"the state is {size()} bytes in C, {ctypes.sizeof(layout.Machine)} here"
        )
    return library


class StandIn:
    """A machine with GPUs that all draw `power_w` from the beginning of time on."""

    def __init__(
        self,
        path: Path,
        gpus: int = 2,
        power_w: float | Sequence[float] = 100.0,
        clock_ns: int | None = None,
        **settings: float,
    ) -> None:
        """Make the state file `path`.

        Args:
            path: The file that processes share.
            gpus: How many GPUs; with a sequence for `power_w`, its length.
            power_w: Of every GPU, or of each.
            clock_ns: The virtual time to begin with; default the real one.
            settings: Of all GPUs, by their names in `state.h`.
        """
        powers_w = list(power_w) if isinstance(power_w, Sequence) else [power_w] * gpus
        if not 0 <= len(powers_w) <= layout.MOST_GPUS:
            raise ValueError(f"at most {layout.MOST_GPUS} GPUs, not {len(powers_w)}")
        self.path = path
        with path.open("w+b") as file:
            file.truncate(ctypes.sizeof(layout.Machine))
            memory = mmap.mmap(file.fileno(), 0)
        self._state = layout.Machine.from_buffer(memory)
        for name, (_, default) in layout.MACHINE_SETTINGS.items():
            setattr(self._state, name, default)
        self.driver = "stand-in 2.0"
        self.clock_ns = clock_ns or 0
        self._state.gpu_count = len(powers_w)
        self.gpus = tuple(self._gpu(memory, *each) for each in enumerate(powers_w))
        for gpu in self.gpus:
            for name, value in settings.items():
                setattr(gpu, name, value)

    def _gpu(self, memory: mmap.mmap, index: int, power_w: float) -> FakeGpu:
        start = layout.Machine.gpus.offset + index * ctypes.sizeof(layout.Gpu)
        gpu = FakeGpu.from_buffer(memory, start)
        gpu.begin(index, power_w, self.now_ns)
        return gpu

    def environment(self, library: Path) -> dict[str, str]:
        """The variables that put this machine in the driver's place, for a child process."""
        folders = [str(library.parent), os.environ.get("LD_LIBRARY_PATH")]
        paths = os.pathsep.join(filter(None, folders))
        return {"LD_LIBRARY_PATH": paths, "STANDIN_STATE": str(self.path)}

    def load(self, library: Path) -> None:
        """Put this machine in the driver's place within this very process, from nvmlInit on."""
        ctypes.CDLL(str(library))  # by its soname it is then what `CDLL(LIBRARY)` finds
        os.environ["STANDIN_STATE"] = str(self.path)

    def close(self) -> None:
        """Take this machine away; processes that have mapped its state keep what they see."""
        if os.environ.get("STANDIN_STATE") == str(self.path):
            del os.environ["STANDIN_STATE"]
        self.path.unlink(missing_ok=True)

    @property
    def driver(self) -> str:
        """The driver's version."""
        return self._state.driver_text.decode()

    @driver.setter
    def driver(self, version: str) -> None:
        self._state.driver_text = version.encode()

    @property
    def clock_ns(self) -> int:
        """The virtual time, or 0: the real CLOCK_MONOTONIC."""
        return self._state.clock_ns

    @clock_ns.setter
    def clock_ns(self, moment_ns: int) -> None:
        self._state.clock_ns = moment_ns

    def now_ns(self) -> int:
        """The time that the stand-in goes by."""
        return self.clock_ns or time.monotonic_ns()

    def fault(
        self,
        code: int,
        call: str = "",
        gpu: int = -1,
        from_ns: int = 0,
        until_ns: int = FOREVER_NS,
        hang_ms: float = 0,
    ) -> None:
        """Let calls end with `code` (0: as ever) after `hang_ms`, between two moments.

        Args:
            code: Of NVML, such as 15, "GPU is lost".
            call: The beginning of the calls' names; "": all.
            gpu: Its index; -1: all, and calls such as nvmlInit that concern none.
            from_ns: The first moment, of the machine's clock.
            until_ns: The moment it is over.
            hang_ms: How long each of these calls lasts.

        Raises:
            ValueError: There are too many faults already.
        """
        for entry in self._state.faults:
            if not entry.active:
                entry.call, entry.gpu, entry.code = call.encode(), gpu, code
                entry.from_ns, entry.until_ns, entry.hang_ms = from_ns, until_ns, hang_ms
                entry.active = 1
                return
        raise ValueError(f"a stand-in has at most {layout.MOST_FAULTS} faults")

    def clear_faults(self) -> None:
        """From now on all calls end as ever."""
        for entry in self._state.faults:
            entry.active = 0
