"""One GPU of the stand-in: a known power over time, and how its sensors see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.fakes import layout
from tests.fakes.known_power import KnownPower

SECOND_NS = 1_000_000_000


class FakeGpu(layout.Gpu):
    """A GPU of known power; its settings are those of `GPU_SETTINGS` in `state.h`."""

    _now_ns: Callable[[], int] = time.monotonic_ns
    _power: KnownPower | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse a misspelt setting, which would change nothing."""
        if not hasattr(type(self), name):
            raise AttributeError(f"the stand-in has no setting {name!r}")
        super().__setattr__(name, value)

    def begin(self, index: int, power_w: float, now_ns: Callable[[], int]) -> None:
        """Set all to what it is by default; `now_ns` is the machine's clock."""
        self._now_ns, self._power = now_ns, KnownPower(power_w)
        for name, (_, default) in layout.GPU_SETTINGS.items():
            setattr(self, name, default)
        self.uuid = f"GPU-00000000-0000-0000-0000-{index:012d}"
        self.name = f"Stand-in GPU {index}"
        self.draw(power_w, at_ns=0)

    def draw(self, power_w: float, at_ns: int | None = None) -> None:
        """From `at_ns` (a moment of the machine's clock; default now) on draw `power_w`.

        Raises:
            ValueError: Its power later than that is set already, or has no room left.
        """
        moment_ns = self._now_ns() if at_ns is None else at_ns
        if len(self._power.starts_ns) == layout.MOST_PIECES:
            raise ValueError(f"a GPU's power has at most {layout.MOST_PIECES} pieces")
        self._power.draw(power_w, moment_ns)
        index = len(self._power.starts_ns) - 1
        energy_j = 0.0
        if index:
            before = self.pieces[index - 1]
            length_ns = moment_ns - before.start_ns
            energy_j = before.energy_j + before.power_w * length_ns * 1e-9
        self.pieces[index] = layout.Piece(moment_ns, power_w, energy_j)
        self.piece_count = index + 1

    def truth_j(self, start_ns: int, end_ns: int) -> float:
        """The energy in J that it draws between two moments."""
        return self._power.truth_j(start_ns, end_ns)

    @property
    def uuid(self) -> str:
        """As NVML names it."""
        return self.uuid_text.decode()

    @uuid.setter
    def uuid(self, value: str) -> None:
        self.uuid_text = value.encode()

    @property
    def name(self) -> str:
        """As NVML names its kind."""
        return self.name_text.decode()

    @name.setter
    def name(self, value: str) -> None:
        self.name_text = value.encode()

    @property
    def processes(self) -> dict[int, int]:
        """Memory in bytes of each process that runs on it."""
        return {each.pid: each.memory_bytes for each in self.process_list[: self.process_count]}

    @processes.setter
    def processes(self, memory_bytes: Mapping[int, int]) -> None:
        for index, each in enumerate(memory_bytes.items()):
            self.process_list[index] = layout.Process(*each)
        self.process_count = len(memory_bytes)


def square(
    gpu: FakeGpu,
    start_ns: int,
    end_ns: int,
    period_s: float,
    duty: float,
    high_w: float,
    low_w: float,
) -> None:
    """Let `gpu` draw `high_w` for the share `duty` of each period, and `low_w` else and after."""
    period_ns = round(period_s * SECOND_NS)
    for begin_ns in range(start_ns, end_ns, period_ns):
        gpu.draw(high_w, begin_ns)
        if begin_ns + round(period_ns * duty) < end_ns:
            gpu.draw(low_w, begin_ns + round(period_ns * duty))
    gpu.draw(low_w, end_ns)
