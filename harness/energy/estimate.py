"""A stated estimate for machines without a sensor: CPU time of the run x watts of a busy thread.

It is a model, not a measurement, and is called an estimate wherever it appears. It ignores memory,
disks, fans and idle power, and it takes the power of a thread as constant.
"""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

import psutil

from harness.energy.meter import Found, MeterSetup, Sample, Sensor

FALLBACK_WATTS_PER_THREAD = 4.0
"""CodeCarbon's figure for a CPU that is not in its table."""
MODEL_UNCERTAINTY = 0.5
"""Our judgement of how far such a model may be off; it is not a confidence interval."""
CPU_INFO = Path("/proc/cpuinfo")
FAMILY_PERIOD_NS = 1_000_000_000
"""Time between two looks for new descendants."""
_DECORATION = r"\((r|tm|c)\)|\bcpu\b|\bprocessor\b|\b\d+-core\b|\b\d+th gen\b|\bwith radeon.*|@.*"
"""What a CPU's name says beyond its model, in lower case."""


class EstimateMeter:
    """Energy of a process and its descendants, from their CPU time."""

    def __init__(self, setup: MeterSetup) -> None:
        self._process = psutil.Process(setup.process_id)
        self._watts = setup.watts_per_thread
        self._family = [self._process]
        self._looked_ns = 0
        self._last: dict[int, float] = {}
        self._gone_s = 0.0
        name = cpu_name()
        self.sensor = Sensor(
            device=f"cpu:{platform.node()}",
            name=name,
            kind="cpu",
            quantity="energy",
            source="estimated",
            relative_uncertainty=MODEL_UNCERTAINTY,
            resolution_j=self._watts / os.sysconf("SC_CLK_TCK"),
            note=(
                f"CPU time of the run's processes x {self._watts:g} W a busy thread "
                f"({setup.watts_note}); memory, idle power and everything else left out"
            ),
        )

    def sample(self) -> Sample:
        """CPU time so far, in joules; descendants that have ended keep their share."""
        before = time.monotonic_ns()
        try:
            spent_s = self._cpu_time_s()
        except psutil.Error as failure:
            return Sample(before, None, f"{type(failure).__name__}: the run's process is gone")
        return Sample((before + time.monotonic_ns()) // 2, spent_s * self._watts)

    def _cpu_time_s(self) -> float:
        # Looking for descendants reads the whole process table; their times are cheap.
        if time.monotonic_ns() - self._looked_ns > FAMILY_PERIOD_NS:
            self._family = [self._process, *self._process.children(recursive=True)]
            self._looked_ns = time.monotonic_ns()
        now: dict[int, float] = {}
        for process in self._family:
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                times = process.cpu_times()
            except psutil.Error:
                if process is self._process:
                    raise
                continue
            now[process.pid] = times.user + times.system
        if self._process.pid not in now:
            raise psutil.NoSuchProcess(self._process.pid)
        self._gone_s += sum(spent for pid, spent in self._last.items() if pid not in now)
        self._last = now
        return self._gone_s + sum(now.values())


def find(setup: MeterSetup) -> Found:
    """The estimate is always there, as long as the run's process is."""
    try:
        return Found([EstimateMeter(setup)])
    except psutil.Error as failure:
        return Found([], f"estimate: {type(failure).__name__}: the run's process is gone")


def watts_per_thread() -> tuple[float, str]:
    """Watts of one busy hardware thread of this machine, and where the figure comes from.

    The CPU's design power in CodeCarbon's table divided by its hardware threads, where the table
    knows the exact name and the machine is real; else CodeCarbon's fallback. A virtual machine
    shows a few threads of a CPU whose other threads it hides.
    """
    from codecarbon.input import DataSource

    name = cpu_name()
    fallback = "CodeCarbon's fallback"
    if re.search(r"\bhypervisor\b", _cpu_field("flags")):
        return FALLBACK_WATTS_PER_THREAD, f"{fallback} for '{name}' in a virtual machine"
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
    """What Linux says of the first CPU; "" elsewhere."""
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
