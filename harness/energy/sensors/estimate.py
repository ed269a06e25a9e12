"""Estimates energy where there is no sensor: the run's CPU time and memory x stated powers.

It is a model, not a measurement, and is called an estimate wherever it appears. It ignores disks,
fans and idle power, and it takes the power of a thread and of a gigabyte as constant. That of a
thread is not: on three of four machines it falls by two to six times from few busy threads to all
(`harness.energy.cpu_time`), so that the constant is right at one concurrency alone.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import psutil

from harness.energy.carbon.quiet import import_codecarbon
from harness.energy.sensors.base import Found, MeterSetup, Sensor
from harness.energy.sensors.process_tree import ProcessTree

FALLBACK_WATTS_PER_THREAD = 4.0
"""CodeCarbon's figure for a CPU that is not in its table."""
MODEL_UNCERTAINTY = 2.0
"""Uncertainty of the power per thread. Compared with counters of four machines under load
(CodeCarbon's load profiles), design power over threads is a third of what one busy thread draws
above idle (EPYC 8024P: 5.6 W for 16.3 W), and twice what each of all draws (2 x E5-2620: 7.9 W for
3.3 W); the two others are in between (Threadripper 1950X, E3-1240)."""
MEMORY_UNCERTAINTY = 0.5
"""Our judgement of the uncertainty of the power per gigabyte; it is not a confidence interval."""
MEMORY_W_PER_GB = 0.375
"""CodeCarbon's figure for memory by size: 3 W for 8 GB."""
CPU_INFO = Path("/proc/cpuinfo")
_DECORATION = r"\((r|tm|c)\)|\bcpu\b|\bprocessor\b|\b\d+-core\b|\b\d+th gen\b|\bwith radeon.*|@.*"
"""Parts of a CPU's name beyond its model, in lower case."""


class CpuEstimate:
    """Energy of a process and its descendants, from their CPU time."""

    def __init__(self, family: ProcessTree, setup: MeterSetup) -> None:
        self._family = family
        self._watts = setup.watts_per_thread
        self.sensor = Sensor(
            device=f"cpu:{platform.node()}",
            name=cpu_name(),
            kind="cpu",
            quantity="energy",
            source="estimated",
            relative_uncertainty=MODEL_UNCERTAINTY,
            resolution_j=self._watts / os.sysconf("SC_CLK_TCK"),
            thread_power_w=self._watts,
            note=(
                f"CPU time of the run's processes x {self._watts:g} W per busy thread "
                f"({setup.watts_note}), right at one number of busy threads alone; idle power and "
                "everything else left out"
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
    return Found([CpuEstimate(family, setup), MemoryEstimate(family)])


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
