"""A folder such as /sys/class/powercap, whose counters follow a known power.

    rapl = FakeRapl(tmp_path, {"intel-rapl:0": "package-0", "intel-rapl:0:0": "dram"})
    rapl["intel-rapl:0"].draw(80.0)       # from now on
    rapl.turn_to(now_ns)                  # by hand ...
    with rapl.turning(): ...              # ... or by a thread, about every ms

As on Linux a zone within another is a folder in it, and a link beside it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.fakes.known_power import KnownPower

RANGE_UJ = 262_143_328_850
"""Of an Intel server: 22 minutes at 200 W."""
UPDATE_S = 0.001
FOLLOW_S = 0.02
NOBODY = 65534


def server(dies: int = 1) -> dict[str, str]:
    """The zones of two sockets, as a server with all kinds of them shows them."""
    zones: dict[str, str] = {}
    for package in range(2):
        for die in range(dies):
            zone = f"intel-rapl:{package * dies + die}"
            zones[zone] = f"package-{package}" + (f"-die-{die}" if dies > 1 else "")
            for part, name in enumerate(("core", "uncore", "dram")):
                zones[f"{zone}:{part}"] = name
    zones[f"intel-rapl:{2 * dies}"] = "psys"
    return {**zones, "intel-rapl-mmio:0": "package-0", "intel-rapl-mmio:0:0": "dram"}


def _is_load(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("a @ a" in word for word in process.cmdline())
    return False


class FakeZone:
    """A zone: a counter of known power, which wraps after `range_uj`."""

    def __init__(self, path: Path, name: str, power_w: float, range_uj: int) -> None:
        self.path, self.range_uj = path, range_uj
        self.offset_uj = 0
        self._power = KnownPower(power_w)
        path.mkdir(parents=True)
        (path / "name").write_text(f"{name}\n")
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        self.energy_file = path / "energy_uj"
        self.turn_to(0)

    def draw(self, power_w: float, at_ns: int | None = None) -> None:
        """From `at_ns` (of CLOCK_MONOTONIC; default now) on draw `power_w`."""
        self._power.draw(power_w, time.monotonic_ns() if at_ns is None else at_ns)

    def truth_j(self, start_ns: int, end_ns: int) -> float:
        """The energy in J that it draws between two moments."""
        return self._power.truth_j(start_ns, end_ns)

    def counter_uj(self, now_ns: int) -> int:
        """What the counter shows at a moment: the energy since time 0 and `offset_uj`, wrapped."""
        energy_uj = self.offset_uj + int(self.truth_j(0, now_ns) * 1e6)
        return energy_uj % (self.range_uj + 1)

    def turn_to(self, now_ns: int) -> None:
        """Let the file show that moment.

        It is written in place and at a fixed length: who keeps it open sees it turn, and never
        finds it empty.
        """
        file = os.open(self.energy_file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(file, f"{self.counter_uj(now_ns)}".ljust(20).encode() + b"\n", 0)
        os.close(file)


class FakeRapl:
    """The folder, with zones by the names of their folders."""

    def __init__(
        self,
        path: Path,
        zones: Mapping[str, str],
        power_w: float | Mapping[str, float] = 50.0,
        range_uj: int = RANGE_UJ,
    ) -> None:
        """Make the folder `path`.

        Args:
            path: Where the zones are made.
            zones: From folders such as "intel-rapl:0:2" to names such as "dram".
            power_w: Of every zone, or by folder; from the beginning of time on.
            range_uj: After which counters wrap.
        """
        self.path = path
        self.zones: dict[str, FakeZone] = {}
        path.mkdir(parents=True, exist_ok=True)
        for zone in sorted(zones, key=len):  # a zone before those within it
            parent = zone.rpartition(":")[0]
            folder = self.zones[parent].path / zone if parent in self.zones else path / zone
            own_w = power_w.get(zone, 0.0) if isinstance(power_w, Mapping) else power_w
            self.zones[zone] = FakeZone(folder, zones[zone], own_w, range_uj)
            if folder.parent != path:
                (path / zone).symlink_to(folder)

    def __getitem__(self, zone: str) -> FakeZone:
        return self.zones[zone]

    def turn_to(self, now_ns: int) -> None:
        """Let all counters show that moment."""
        for zone in self.zones.values():
            zone.turn_to(now_ns)

    @contextmanager
    def turning(self) -> Iterator[FakeRapl]:
        """Let all counters follow the real time, about every ms."""
        over = threading.Event()

        def turn() -> None:
            while not over.wait(UPDATE_S):
                self.turn_to(time.monotonic_ns())

        self.turn_to(time.monotonic_ns())
        thread = threading.Thread(target=turn, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    @contextmanager
    def loaded(
        self,
        power_w: Callable[[int], float],
        processes: Callable[[], Iterator[psutil.Process]] = psutil.process_iter,
    ) -> Iterator[FakeRapl]:
        """Let the first zone draw what the load of a calibration makes it draw.

        Args:
            power_w: By the number of its processes.
            processes: Those to look among.
        """
        over = threading.Event()
        zone = next(iter(self.zones.values()))

        def follow() -> None:
            while not over.wait(FOLLOW_S):
                zone.draw(power_w(sum(map(_is_load, processes()))))

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def forbid(self) -> None:
        """Take the permission to read the counters, as Linux does; root reads them even so."""
        for zone in self.zones.values():
            zone.energy_file.chmod(0)

    def permit(self) -> None:
        """Give it back."""
        for zone in self.zones.values():
            zone.energy_file.chmod(0o644)

    @contextmanager
    def as_nobody(self) -> Iterator[None]:
        """Without the rights of root; pytest's folders, closed to others, are opened."""
        for folder in (self.path, *self.path.parents):
            if any(name.startswith("pytest-") for name in folder.parts):
                folder.chmod(0o755)
        was = os.geteuid()
        if was == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(was)
