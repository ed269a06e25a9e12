"""`doctor`: what can be measured here, how well, and what to do about the rest."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from harness.catalogue import METERS
from harness.cli.check_line import check_line
from harness.cli.surroundings import (
    data,
    data_lines,
    other_work,
    other_work_lines,
    software,
    software_lines,
)
from harness.energy.examination.examine import Examined, examine
from harness.energy.examination.load import switched_load
from harness.energy.meter import Found, MeterSetup, Sensor
from harness.energy.meters.estimate import watts_per_thread
from harness.energy.meters.finders import finder
from harness.energy.meters.visible import visible_gpus
from harness.energy.recorder.conditions import Conditions
from harness.energy.recorder.neighbours import Neighbours
from harness.energy.recorder.patience import found as look_for
from harness.energy.recorder.size import trace_bytes
from harness.errors import ExitCode
from harness.settings import EnergySettings

WHAT_TO_DO = {
    "Shared Library Not Found": "no NVIDIA driver here; in a container, start it with --gpus all",
    "Driver Not Loaded": "the NVIDIA driver is not loaded: sudo modprobe nvidia",
    "version mismatch": "the driver was updated under way: reboot, or reload its kernel module",
    "Insufficient Permissions": "ask for access to /dev/nvidia*, or run as root",
    "no counters": "Intel and AMD show them under /sys/class/powercap; virtual machines hide them",
}
"""From what sensors say when they are missing to what helps."""
LEAST_FREE_BYTES = 1_000_000_000
DAY_S = 86_400.0
LATE_S = 0.002
"""Waking up later than this blurs the moments of readings."""


def examine_machine(as_json: bool, load: bool, root: str | None) -> ExitCode:
    """Examine every sensor and print what was found; 5 if nothing can be measured."""
    watts, note = watts_per_thread()
    visible = visible_gpus()
    setup = MeterSetup(os.getpid(), visible.gpus, watts, note)
    found = {kind: look_for(kind, finder(kind), setup) for kind in METERS}
    meters = [meter for each in found.values() for meter in each.meters]
    if not as_json:
        click.echo(f"examining {len(meters)} sensors ...", err=True)
    sensors = examine(meters)
    with switched_load(wanted=load) as switched:
        if load and switched.note is None:
            loaded = examine(meters, switched.switches_ns)
            sensors = [
                replace(a, window_s=b.window_s) for a, b in zip(sensors, loaded, strict=True)
            ]
    report = {
        "measurable": any(_measures(sensor) for sensor in sensors),
        "sensors": [sensor.to_json() for sensor in sensors],
        "devices": list(_devices(found)),
        "missing": [_missing(note) for each in found.values() for note in each.notes],
        "notes": [text for text in (visible.note, switched.note) if text],
        "clock": _clock(),
        "disk": _disk(Path.cwd(), [meter.sensor for meter in meters]),
        "software": software(),
        "data": data(root),
        "other_work": other_work(),
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo("\n".join(_lines(report, sensors)))
    return ExitCode.DONE if report["measurable"] else ExitCode.NOT_MEASURABLE


def _measures(examined: Examined) -> bool:
    return examined.sensor.source != "estimated" and examined.reading_s is not None


def _devices(found: dict[str, Found]) -> Iterator[dict[str, Any]]:
    for each in found.values():
        conditions = Conditions(each.observers, Neighbours(os.getpid())).look()["conditions"]
        for observer in each.observers:
            yield {
                "id": observer.device,
                "settings": observer.settings(),
                "state": observer.state(),
                "foreign": conditions[observer.device]["foreign"],
            }


def _missing(note: str) -> dict[str, str | None]:
    helps = (todo for said, todo in WHAT_TO_DO.items() if said.lower() in note.lower())
    return {"what": note, "do": next(helps, None)}


def _clock() -> dict[str, float]:
    """Resolution of the monotonic clock, and how late a sleep of 2 ms ends (95th percentile)."""
    late_s = []
    for _ in range(100):
        begun = time.monotonic()
        time.sleep(0.002)
        late_s.append(time.monotonic() - begun - 0.002)
    resolution_s = time.get_clock_info("monotonic").resolution
    return {"resolution_s": resolution_s, "late_s": float(np.quantile(late_s, 0.95))}


def _disk(folder: Path, sensors: list[Sensor]) -> dict[str, Any]:
    return {
        "trace_bytes_a_day": round(trace_bytes(sensors, EnergySettings().period_s, DAY_S)),
        "folder": str(folder),
        "free_bytes": shutil.disk_usage(folder).free,
        "writable": os.access(folder, os.W_OK),
    }


def _lines(report: dict[str, Any], sensors: list[Examined]) -> Iterator[str]:
    for sensor in sensors:
        yield _sensor_line(sensor)
    for missing in report["missing"]:
        yield check_line(ok=False, text=missing["what"], todo=missing["do"])
    for device in report["devices"]:
        yield from _device_lines(device)
    for note in report["notes"]:
        yield check_line(ok=False, text=note)
    clock, disk = report["clock"], report["disk"]
    yield check_line(
        ok=clock["late_s"] < LATE_S,
        text=f"clock: wakes up {clock['late_s'] * 1e3:.1f} ms late at worst (95 %)",
        todo=None if clock["late_s"] < LATE_S else "leave a core free for the recorder",
    )
    free = disk["free_bytes"] > LEAST_FREE_BYTES and disk["writable"]
    room = f"{disk['free_bytes'] / 1e9:.0f} GB free in {disk['folder']}"
    day = f"a trace grows by {disk['trace_bytes_a_day'] / 1e6:.0f} MB a day at most"
    yield check_line(ok=free, text=f"disk: {room}; {day}")
    boards = sum("driver" in device["settings"] for device in report["devices"])
    yield from software_lines(report["software"], boards)
    yield from data_lines(report["data"])
    yield from other_work_lines(report["other_work"])
    if not report["measurable"]:
        yield "nothing can be measured here: energy would be an estimate, and called one"


def _sensor_line(examined: Examined) -> str:
    sensor = examined.sensor
    if examined.reading_s is None:
        return check_line(ok=False, text=f"{sensor.name}: {sensor.quantity}: {examined.failure}")
    facts = [f"{sensor.source} {sensor.quantity}" + _part(sensor.part)]
    if examined.update_s:
        facts.append(f"updated every {examined.update_s * 1e3:.0f} ms")
    elif sensor.update_s:
        facts.append("update period not seen (the reading never changed)")
    if sensor.quantity == "power" and sensor.source != "estimated":
        known = "measured" if examined.window_s is not None else "known of its kind"
        window_s = sensor.window_s if examined.window_s is None else examined.window_s
        facts.append(f"averaged over {window_s * 1e3:.0f} ms ({known})")
    facts.append(f"± {sensor.relative_uncertainty:.0%}")
    facts.append(f"a reading takes {examined.reading_s * 1e6:.0f} µs")
    disturbed = examined.loss is not None and examined.loss > 0.3
    if examined.loss is not None:
        facts.append(f"read every 2 ms it loses {max(examined.loss, 0):.0%}")
    todo = "it is read seldom, and power is integrated instead" if disturbed else None
    return check_line(ok=not disturbed, text=f"{sensor.name}: {', '.join(facts)}", todo=todo)


def _device_lines(device: dict[str, Any]) -> Iterator[str]:
    foreign, state, settings = device["foreign"], device["state"], device["settings"]
    if "driver" in settings:
        yield check_line(ok=True, text=f"{device['id']}: driver {settings['driver']}")
    if foreign:
        pids = ", ".join(map(str, foreign))
        yield check_line(ok=False, text=f"{device['id']}: other processes: {pids}", todo="end them")
    elif foreign is None:
        yield check_line(ok=True, text=f"{device['id']}: no process is listed")
    if state.get("throttling"):
        reasons = ", ".join(state["throttling"])
        yield check_line(ok=False, text=f"{device['id']}: throttled: {reasons}", todo="let it cool")
    if settings.get("mig"):
        yield check_line(
            ok=False, text=f"{device['id']}: MIG is on: only the whole board is measured"
        )


def _part(part: str) -> str:
    return "" if part == "device" else f" of its {part}"
