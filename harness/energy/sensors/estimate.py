"""Estimates energy where there is no sensor: the run's CPU time and memory x powers.

It is a model, not a measurement, and is called an estimate wherever it appears. It ignores disks,
fans and idle power, and it takes the power of a gigabyte as constant. That of a thread is not: on
three of four machines it falls by two to six times from few busy threads to all
(`harness.energy.cpu_time`). On a machine that was calibrated (`harness.energy.calibration`) the
estimate follows the curve that was measured there; elsewhere it has one constant, which is right at
one concurrency alone.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from pathlib import Path

import psutil

from harness.energy.carbon.quiet import import_codecarbon
from harness.energy.sensors.base import Found, MeterSetup, Sensor
from harness.energy.sensors.power_curve import PowerCurve
from harness.energy.sensors.process_tree import ProcessTree

FALLBACK_WATTS_PER_THREAD = 4.0
"""CodeCarbon's figure for a CPU that is not in its table."""
MODEL_UNCERTAINTY = 2.0
"""Uncertainty of the power per thread. Compared with counters of four machines under load
(CodeCarbon's load profiles), design power over threads is a third of what one busy thread draws
above idle (EPYC 8024P: 5.6 W for 16.3 W), and twice what each of all draws (2 x E5-2620: 7.9 W for
3.3 W); the two others are in between (Threadripper 1950X, E3-1240). On 609 servers of SPECpower,
models by design power are off by 31 to 60 % of the power at the wall on average."""
WORK_UNCERTAINTY = 0.2
"""How far the power of training may be from that of the matrix products of a calibration (our
judgement): instructions differ in power. Alike for methods on one workload."""
MEMORY_UNCERTAINTY = 0.5
"""Our judgement of the uncertainty of the power per gigabyte; it is not a confidence interval."""
MEMORY_W_PER_GB = 0.375
"""CodeCarbon's figure for memory by size: 3 W for 8 GB."""
CPU_INFO = Path("/proc/cpuinfo")
_DECORATION = r"\((r|tm|c)\)|\bcpu\b|\bprocessor\b|\b\d+-core\b|\b\d+th gen\b|\bwith radeon.*|@.*"
"""Parts of a CPU's name beyond its model, in lower case."""


class CpuEstimate:
    """Energy of a process and its descendants, from their CPU time.

    What it reads is CPU time x the watts of one busy thread. Of a calibrated machine that is the
    raw record, and the curve stands in the sensor: integration derives the energy from both
    (`harness.energy.cpu_time.by_curve`), and can again by another curve.
    """

    def __init__(
        self, family: ProcessTree, setup: MeterSetup, curve: PowerCurve | None = None
    ) -> None:
        self._family = family
        self._watts = float(curve.watts(1)) if curve else setup.watts_per_thread
        each = f"{self._watts:g} W per busy thread ({setup.watts_note}), right at one number of "
        each += "busy threads alone"
        if curve:
            each = f"the watts of busy threads as calibrated on this machine ({curve.text})"
        self.sensor = Sensor(
            device=f"cpu:{platform.node()}",
            name=cpu_name(),
            kind="cpu",
            quantity="energy",
            source="estimated",
            relative_uncertainty=(
                math.hypot(curve.gain, WORK_UNCERTAINTY) if curve else MODEL_UNCERTAINTY
            ),
            resolution_j=self._watts / os.sysconf("SC_CLK_TCK"),
            thread_power_w=self._watts,
            power_curve=curve,
            note=(
                f"CPU time of the run's processes x {each}; idle power and everything else left out"
            ),
        )

    def read(self) -> float:
        """CPU time so far, in joules."""
        return self._family.cpu_time_s() * self._watts


class MemoryEstimate:
    """Power of the memory that a process and its descendants hold."""

    def __init__(self, family: ProcessTree) -> None:
        self._family = family
        self.sensor = Sensor(
            device=f"memory:{platform.node()}",
            name="memory",
            kind="dram",
            quantity="power",
            source="estimated",
            relative_uncertainty=MEMORY_UNCERTAINTY,
            note=f"resident memory of the run's processes x {MEMORY_W_PER_GB:g} W/GB",
        )

    def read(self) -> float:
        """Watts for what is resident now."""
        return self._family.resident_gb() * MEMORY_W_PER_GB


def find(setup: MeterSetup) -> Found:
    """The meters of the estimate, available as long as the run's process exists."""
    try:
        family = ProcessTree(setup.process_id)
    except psutil.Error as failure:
        return Found([], (f"estimate: {type(failure).__name__}: the run's process is gone",))
    curve, note = calibrated_curve()
    notes = (note,) if note else ()
    return Found([CpuEstimate(family, setup, curve), MemoryEstimate(family)], notes)


def identity() -> dict[str, str]:
    """What a calibration holds for: this machine and its CPU."""
    return {"host": platform.node(), "cpu": cpu_name()}


def calibration_file() -> Path:
    """Where the calibration of this machine is stored; homes are shared between machines."""
    from platformdirs import user_config_path  # reading results does without

    host = re.sub(r"[^A-Za-z0-9.-]+", "_", platform.node()) or "machine"
    return user_config_path("energy-harness") / "cpu-power" / f"{host}.json"


def calibrated_curve() -> tuple[PowerCurve | None, str | None]:
    """The curve of this machine, and why one that is stored does not count."""
    path = calibration_file()
    try:
        saved = json.loads(path.read_text("utf-8"))
        found = saved["curve"]
        curve = PowerCurve(
            **{**found, **{key: tuple(found[key]) for key in ("threads", "power_w")}}
        )
        if any(saved[key] != value for key, value in identity().items()):
            return None, f"estimate: {path} is of another CPU; calibrate again"
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return None, f"estimate: {path} cannot be read ({type(error).__name__}); calibrate again"
    return curve, None


def watts_per_thread() -> tuple[float, str]:
    """Watts of one busy hardware thread of this machine, and where the figure comes from.

    The CPU's design power in CodeCarbon's table divided by its hardware threads, where the table
    knows the exact name and the machine is real; else CodeCarbon's fallback. A virtual machine
    shows a few threads of a CPU whose other threads it hides.
    """
    name = cpu_name()
    fallback = "CodeCarbon's fallback"
    if re.search(r"\bhypervisor\b", _cpu_field("flags")):
        return FALLBACK_WATTS_PER_THREAD, f"{fallback} for '{name}' in a virtual machine"
    import_codecarbon()
    from codecarbon.input import DataSource

    table = DataSource().get_cpu_power_data()
    known = table.loc[table["Name"].map(_plain_name) == _plain_name(name), "TDP"]
    design_power_w = _number(known.iloc[0]) if len(known) else 0.0
    if design_power_w <= 0:
        return FALLBACK_WATTS_PER_THREAD, f"{fallback}; '{name}' is not in its table"
    threads = int(_cpu_field("siblings") or os.cpu_count() or 1)
    return design_power_w / threads, f"{design_power_w:g} W for {threads} threads of '{name}'"


def cpu_name() -> str:
    """The CPU's model name as the system gives it."""
    return _cpu_field("model name") or platform.processor() or platform.machine()


def _cpu_field(name: str) -> str:
    """A field of the first CPU in /proc/cpuinfo; "" elsewhere."""
    try:
        found = re.search(rf"^{name}\s*: (.+)$", CPU_INFO.read_text(), flags=re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else ""


def _plain_name(name: str) -> str:
    text = re.sub(_DECORATION, " ", name.lower())
    return " ".join(text.split())


def _number(text: object) -> float:
    # A few of the table's figures are damaged, such as "27.29.5".
    try:
        return float(str(text))
    except ValueError:
        return 0.0
