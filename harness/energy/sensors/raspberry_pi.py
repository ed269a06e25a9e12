"""Reads the power of a Raspberry Pi 5 from the converter of its power management chip.

`vcgencmd pmic_read_adc` shows voltage and current of every rail. Their sum is less than what the
board draws at its plug, by what the chip and the regulators lose: a line that was fitted to a meter
at the plug is applied (RPi5-power by jfikar: 1.1451 x + 0.5879 W).
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass

from harness.energy.sensors.base import MACHINE, Found, MeterSetup, Sensor, SensorError

COMMAND = "vcgencmd"
TIMEOUT_S = 1.0
SLOPE, OFFSET_W = 1.1451, 0.5879
GAIN_UNCERTAINTY = 0.1
"""Our judgement: the line was fitted on few boards, and is a few percent off for one board."""
POLL_S = 0.5
RAIL = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=([\d.]+)[AV]$", re.MULTILINE)


@dataclass
class BoardPower:
    """The power of the board."""

    program: str
    sensor: Sensor

    def read(self) -> float:
        """Watts now."""
        try:
            asked = subprocess.run(
                [self.program, "pmic_read_adc"],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as failure:
            raise SensorError(f"{COMMAND}: {type(failure).__name__}") from None
        return board_power_w(asked.stdout)


def board_power_w(text: str) -> float:
    """The power of a board from what the command prints.

    Raises:
        SensorError: It shows no rail with both a current and a voltage.
    """
    found = {(name, unit): float(value) for name, unit, value in RAIL.findall(text)}
    rails = [name for name, unit in found if unit == "A" and (name, "V") in found]
    if not rails:
        raise SensorError(f"{COMMAND} shows no rails")
    return SLOPE * sum(found[name, "A"] * found[name, "V"] for name in rails) + OFFSET_W


def find(_setup: MeterSetup) -> Found:
    """The board, if this is one."""
    program = shutil.which(COMMAND)
    if program is None:
        return Found([])
    sensor = Sensor(
        device=f"board:{platform.node()}",
        name="Raspberry Pi 5",
        kind="machine",
        quantity="power",
        source="sampled",
        relative_uncertainty=GAIN_UNCERTAINTY,
        update_s=POLL_S,
        window_s=0.0,  # a look: what is drawn between two of them may be anything
        poll_s=POLL_S,
        note=f"{MACHINE}: the rails of its power chip, by a published fit",
    )
    meter = BoardPower(program, sensor)
    try:
        meter.read()
    except SensorError as failure:  # an older board
        return Found([], (f"raspberry_pi: {failure}",))
    return Found([meter])
