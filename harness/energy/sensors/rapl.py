"""Reads CPU packages and DRAM through RAPL, as Linux shows it under /sys/class/powercap.

Only packages and their DRAM are read: "core" and "uncore" are parts of a package, "psys" overlaps
it, and the mmio zones show the same counters again. The counters are the whole machine's, not the
run's: with them, what else runs on the machine is in the figure.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from harness.energy.sensors.base import Found, Meter, MeterSetup, Sensor, SensorError
from harness.energy.sensors.estimate import cpu_name
from harness.energy.sensors.sysfs import is_of_kernel

POWERCAP = Path("/sys/class/powercap")
ELSEWHERE = "ENERGY_HARNESS_POWERCAP"
"""Environment variable: another folder to read, such as where a container has the host's mounted.
What is in no file system of the kernel's (sysfs) is called simulated."""
UPDATE_S = 0.001
GAIN_UNCERTAINTY = 0.05
"""Our judgement: packages agree with external meters within a few percent (Khan et al., 2018)."""
PERMIT = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
"""Grants reading until the next boot; root alone may read since Linux 5.10 (CVE-2020-8694)."""


class RaplMeter:
    """One zone's energy counter, unwrapped.

    Attributes:
        wraps: Whether it is known where the counter wraps. Where it is not, a counter that wraps
            looks as if it were set back, and what it counted around that is not trusted.
    """

    def __init__(self, zone: Path, name: str) -> None:
        """Start from the counter's present value, so that a restarted recorder continues it.

        Raises:
            OSError: The zone cannot be read.
        """
        self._counter = zone / "energy_uj"
        self._range_uj = _range_uj(zone)
        self.wraps = self._range_uj is not None
        self._last_uj = self._read_uj()
        self._total_uj = self._last_uj
        self.sensor = Sensor(
            device=f"{name}:{platform.node()}",
            name=f"{cpu_name()}, {name}",
            kind="dram" if name.endswith("dram") else "cpu",
            quantity="energy",
            source="counter" if _is_real(self._counter) else "simulated",
            relative_uncertainty=GAIN_UNCERTAINTY,
            resolution_j=1e-6,
            update_s=UPDATE_S,
            note=f"RAPL counter of {name}: the whole machine's, not the run's alone",
        )

    def read(self) -> float:
        """Read the counter in joules, with its wraps added up."""
        try:
            now_uj = self._read_uj()
        except (OSError, ValueError) as failure:
            raise SensorError(f"{type(failure).__name__}: {failure}") from None
        # One that was reset seems to wrap, too; it then leaps by more than a package can draw, and
        # is not trusted.
        step_uj = now_uj - self._last_uj
        self._total_uj += step_uj if self._range_uj is None else step_uj % (self._range_uj + 1)
        self._last_uj = now_uj
        return self._total_uj * 1e-6

    def _read_uj(self) -> int:
        return int(self._counter.read_text())


def find(_setup: MeterSetup) -> Found:
    """The packages of this machine, and their DRAM."""
    zones = _zones()
    if not zones:
        return Found([], ("rapl: no counters on this machine",))
    meters: list[Meter] = []
    notes = []
    for name, zone in zones.items():
        try:
            meter = RaplMeter(zone, name)
        except PermissionError:
            notes.append(f"rapl: reading is not permitted; allow it with: {PERMIT}")
        except (OSError, ValueError) as failure:
            notes.append(f"rapl: {name} is left out: {type(failure).__name__}: {failure}")
        else:
            meters.append(meter)
            if not meter.wraps:
                notes.append(f"rapl: {name}: where its counter wraps is not known")
    return Found(meters, tuple(dict.fromkeys(notes)))


def _zones() -> dict[str, Path]:
    """From names such as "package-0" and "package-0 dram" to their folders."""
    found: dict[str, Path] = {}
    for package in sorted(_powercap().glob("intel-rapl:*")):
        name = _name(package)
        if package.name.count(":") == 1 and name.startswith("package"):
            found[name] = package
            for part in sorted(package.glob("intel-rapl:*:*")):
                if _name(part) == "dram":
                    found[f"{name} dram"] = part
    return found


def _powercap() -> Path:
    return Path(os.environ.get(ELSEWHERE, POWERCAP))


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


def _range_uj(zone: Path) -> int | None:
    """The highest value of its counter; None if it is not there, or not a range."""
    try:
        return int((zone / "max_energy_range_uj").read_text()) or None
    except (OSError, ValueError):
        return None


def _is_real(file: Path) -> bool:
    """Whether a file is the kernel's own, wherever it is mounted."""
    return ELSEWHERE not in os.environ or is_of_kernel(file)
