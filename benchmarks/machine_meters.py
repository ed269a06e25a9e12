"""How far off are meters without NVML or RAPL, and does their stated uncertainty hold the truth?

Stand-ins of each (files as under /sys, real HTTP servers, TP-Link's protocols, a real MQTT broker,
programs on the PATH) follow a power that is known exactly and changes at every window; the
harness's own recorder reads them in virtual time:

    python benchmarks/machine_meters.py --windows 20 --append benchmarks/energy_error.md

The gain of a meter is left out: no stand-in has one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.energy.sensors import battery, hwmon, ipmi, plugs, raspberry_pi, redfish, sysfs
from harness.energy.sensors.base import Meter, MeterSetup
from harness.energy.window_energy import measured
from tests.energy.machine import Clock, watch
from tests.energy.virtual import SECOND
from tests.fakes.broker import started
from tests.fakes.controller import FakeController
from tests.fakes.hwmon import FakeChip
from tests.fakes.known_power import KnownPower
from tests.fakes.laptop import FakeBattery
from tests.fakes.plug import FakePlug
from tests.fakes.tplink import FakeTplink

LENGTHS_S = (10.0, 60.0, 300.0)
PASSWORD = f"{plugs.PREFIX}_PASSWORD"
TITLE = "## Meters of a whole machine, and of GPUs under hwmon"
ABOUT = """- {windows} windows of each length, one after the other, each of a power drawn anew. The
  gain of a meter is left out, as no stand-in has one. All were observed throughout unless a share
  is given."""
AFTER = """
A window shorter than a meter's refresh or step cannot be resolved: its ± is as large as itself, it
is flagged, and where three windows fall into one refresh the ± holds fewer than 95 %. A Jetson's
input shows whole mA: what that rounds off is small beside the gain, and not in this ±."""
Made = tuple[Any, list[Meter]]


def setup(**given: Any) -> MeterSetup:
    """For meters of no run."""
    return MeterSetup(os.getpid(), (), 0.0, "", **given)


class Program:
    """A program on the PATH that prints what `text` makes of the power now."""

    def __init__(self, folder: Path, name: str, text: Callable[[float], str]) -> None:
        self.power = KnownPower(20.0)
        self._file, self._text = folder / "shown", text
        program = folder / name
        program.write_text(f"#!/bin/sh\nexec cat {self._file}\n")
        program.chmod(0o755)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def turn_to(self, now_ns: int) -> None:
        """Show that moment."""
        at_ns = now_ns - now_ns % SECOND
        self._file.write_text(self._text(self.power.truth_j(at_ns - SECOND, at_ns)))


@contextmanager
def a_battery(folder: Path, clock: Clock, **how: Any) -> Iterator[Made]:
    """A laptop's."""
    device = FakeBattery(folder, **how)
    device.turn_to(clock.clock_ns)
    yield device, battery.find(setup()).meters


@contextmanager
def a_plug(_folder: Path, clock: Clock, kind: str) -> Iterator[Made]:
    """A plug on HTTP."""
    with FakePlug(kind) as device:
        device.turn_to(clock.clock_ns)
        opened = plugs.opened(device.address)
        yield device, plugs.meters_of(opened, device.address, lambda: clock.clock_ns * 1e-9)


@contextmanager
def a_tplink(_folder: Path, clock: Clock, kind: str) -> Iterator[Made]:
    """A plug of TP-Link's."""
    with FakeTplink(kind) as device:
        device.turn_to(clock.clock_ns)
        os.environ |= dict(zip((f"{plugs.PREFIX}_USER", PASSWORD), device.login, strict=True))
        opened = plugs.opened(device.address)
        meters = plugs.meters_of(opened, device.address, lambda: clock.clock_ns * 1e-9)
        del os.environ[PASSWORD]
        yield device, meters
        meters[0].close()  # type: ignore[attr-defined]


@contextmanager
def at_a_broker(folder: Path, clock: Clock, every_s: int) -> Iterator[Made]:
    """A Tasmota plug that sends its state to a broker."""
    with started(folder) as broker, FakePlug("tasmota") as device:
        topic = "tele/desk/SENSOR"
        sent_ns = [0]

        def send(now_ns: int) -> None:
            if now_ns // (every_s * SECOND) == sent_ns[0] // (every_s * SECOND):
                return
            sent_ns[0] = now_ns
            FakePlug.turn_to(device, now_ns)
            state = device.status()["StatusSNS"]
            broker.send(topic, state)
            while opened is not None and opened.state() != plugs.tasmota_state(state):
                time.sleep(0.0002)  # on its way

        opened = None
        send(clock.clock_ns)
        address = broker.address(topic, every_s)
        opened = plugs.opened(address)
        device.turn_to = send  # type: ignore[method-assign]
        meters = plugs.meters_of(opened, address, lambda: clock.clock_ns * 1e-9)
        yield device, meters
        meters[0].close()  # type: ignore[attr-defined]


@contextmanager
def a_chip(folder: Path, clock: Clock, name: str, **files: object) -> Iterator[Made]:
    """A chip under hwmon."""
    device = FakeChip(folder, name, **files)
    if name == "amdgpu":
        device.write("device/mem_info_vram_total", 16 * 1024**3)
    device.turn_to(clock.clock_ns)
    yield device, hwmon.find(setup()).meters


@contextmanager
def a_controller(_folder: Path, clock: Clock) -> Iterator[Made]:
    """A server's controller, on Redfish."""
    with FakeController() as device:
        device.turn_to(clock.clock_ns)
        yield device, redfish.find(setup(controllers=(device.address,))).meters


@contextmanager
def dcmi(folder: Path, clock: Clock) -> Iterator[Made]:
    """A server's controller, through `ipmitool`."""
    device = Program(
        folder, "ipmitool", lambda watts: f"  Instantaneous power reading:  {watts:.0f} Watts\n"
    )
    device.turn_to(clock.clock_ns)
    yield device, ipmi.find(setup(controllers=("ipmi://local",))).meters


@contextmanager
def a_pi(folder: Path, clock: Clock) -> Iterator[Made]:
    """A Raspberry Pi 5."""

    def shown(watts: float) -> str:
        amperes = (watts - raspberry_pi.OFFSET_W) / raspberry_pi.SLOPE / 5
        return f" ALL_A current(0)={amperes:.8f}A\n ALL_V volt(1)=5.00000000V\n"

    device = Program(folder, "vcgencmd", shown)
    device.turn_to(clock.clock_ns)
    yield device, raspberry_pi.find(setup()).meters


ACPI = {"name": "power_meter", "power1_average": 0, "power1_average_interval": 1000}
JETSON = {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 1}
INTEL = {"name": "xe", "energy1_input": 0, "energy1_label": "card"}
AMD = {"name": "amdgpu", "power1_average": 0, "power1_cap_max": 300_000_000}
METERS: dict[str, tuple[Any, dict[str, Any], tuple[float, float]]] = {
    "battery, refreshed every 1 s": (a_battery, {"refresh_s": 1}, (6, 60)),
    "battery, every 5 s": (a_battery, {"refresh_s": 5}, (6, 60)),
    "battery, every 30 s": (a_battery, {"refresh_s": 30}, (6, 60)),
    "battery, charge and voltage": (a_battery, {"refresh_s": 5, "counts_charge": True}, (6, 60)),
    "Shelly Gen1, steps of 60 J": (a_plug, {"kind": "shelly1"}, (20, 250)),
    "Shelly Gen2, steps of 3.6 J": (a_plug, {"kind": "shelly2"}, (20, 250)),
    "Tasmota, steps of 3600 J": (a_plug, {"kind": "tasmota"}, (20, 250)),
    "Tasmota at a broker, every 10 s": (at_a_broker, {"every_s": 10}, (20, 250)),
    "TP-Link HS110, steps of 3600 J": (a_tplink, {"kind": "HS110"}, (20, 250)),
    "TP-Link P110, power alone": (a_tplink, {"kind": "P110"}, (20, 250)),
    "ACPI power meter": (a_chip, ACPI, (100, 600)),
    "Redfish": (a_controller, {}, (100, 600)),
    "IPMI, DCMI": (dcmi, {}, (100, 600)),
    "Raspberry Pi 5": (a_pi, {}, (3, 10)),
    "Jetson's input": (a_chip, JETSON, (5, 40)),
    "Intel GPU, counter": (a_chip, INTEL, (30, 190)),
    "AMD GPU, power over 1 s": (a_chip, AMD, (30, 300)),
}
"""How each is made, and the range of its power in W."""


@click.command(help=__doc__)
@click.option("--windows", default=20, help="How many of each length, for each meter.")
@click.option("--seed", default=0)
@click.option("--only", default="", help="Only meters whose name contains this.")
@click.option("--append", type=click.Path(path_type=Path), help="Replace the table in this file.")
def main(windows: int, seed: int, only: str, append: Path | None) -> None:
    """Draw, record, compare, print."""
    heads = [f"{length_s:g} s" for length_s in LENGTHS_S]
    command = f"python benchmarks/machine_meters.py --windows {windows} --append FILE"
    lines = [
        TITLE,
        "",
        f"- Command: `{command}`, {datetime.now(UTC):%Y-%m-%d}",
        ABOUT.format(windows=windows),
        "",
        f"| error in %: mean (sd), worst; ± stated, how many it held | {' | '.join(heads)} |",
        f"|---{'|---' * len(heads)}|",
    ]
    for name, (make, how, range_w) in METERS.items():
        if only not in name:
            continue
        cells = []
        for length_s in LENGTHS_S:
            with tempfile.TemporaryDirectory() as folder:
                os.environ[sysfs.ELSEWHERE] = folder
                rng = np.random.default_rng([seed, round(length_s)])
                clock = Clock(50 * SECOND + int(rng.integers(30 * SECOND)))
                powers_w = rng.uniform(*range_w, windows)
                with make(Path(folder), clock, **how) as (device, meters):
                    cells.append(cell(device, meters, clock, [length_s] * windows, powers_w))
        lines.append(f"| {name} | {' | '.join(cells)} |")
        click.echo(lines[-1], err=True)
    text = "\n".join([*lines, AFTER]) + "\n"
    if append is None:
        click.echo(text)
    else:
        before = append.read_text().partition(TITLE)[0].rstrip()
        append.write_text(f"{before}\n\n{text}")


def cell(
    device: Any,
    meters: Sequence[Meter],
    clock: Clock,
    lengths_s: Sequence[float],
    powers_w: Sequence[float],
) -> str:
    """What one meter made of windows of one length."""
    trace, borders = watch(device, meters, clock, lengths_s, powers_w)
    errors, stated, covered, held = [], [], [], 0
    for start_ns, end_ns in pairwise(borders):
        joules = measured(trace, start_ns, end_ns).joules
        truth_j = device.power.truth_j(start_ns, end_ns)
        errors.append(100 * (joules.energy_j / truth_j - 1))
        stated.append(100 * joules.without_gain_j / truth_j)
        covered.append(joules.coverage)
        held += abs(joules.energy_j - truth_j) <= joules.without_gain_j
    worst = max(errors, key=abs)
    seen = "" if min(covered) > 0.99 else f", {np.mean(covered):.0%} observed"
    return (
        f"{np.mean(errors):+.2f} ({np.std(errors):.2f}), {worst:+.1f}; ±{np.mean(stated):.2g}, "
        f"{held} of {len(errors)}{seen}"
    ).replace("-", "−")


if __name__ == "__main__":
    main()
