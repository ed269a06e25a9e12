"""`doctor`: what can be measured on this machine, how well, and how to enable the rest.

It also examines torch and torchvision, data sets, and other processes on the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from harness.cli.measure import energy_settings
from harness.energy.examination import Examined, examine, switched_load
from harness.energy.health import BUSY
from harness.energy.integration.resolved import SHARE, shortest_window_s
from harness.energy.recorder.conditions import Conditions, Neighbours, named
from harness.energy.recorder.size import trace_bytes
from harness.energy.recorder.timeouts import found as look_for
from harness.energy.sensors.base import Found, MeterSetup, Sensor
from harness.energy.sensors.discover import close, finder, visible_gpus
from harness.energy.sensors.estimate import watts_per_thread
from harness.errors import ExitCode
from harness.settings.catalogue import DATA, METERS, MODELS
from harness.settings.settings import EnergySettings, WorkloadChoice
from harness.workloads.files import ROOT, missing

WHAT_TO_DO = {
    "Shared Library Not Found": "no NVIDIA driver here; in a container, start it with --gpus all",
    "Driver Not Loaded": "the NVIDIA driver is not loaded: sudo modprobe nvidia",
    "version mismatch": "the driver was updated under way: reboot, or reload its kernel module",
    "Insufficient Permissions": "ask for access to /dev/nvidia*, or run as root",
    "no counters": "Intel and AMD show them under /sys/class/powercap; virtual machines hide them",
}
"""From what sensors say when they are missing to what helps."""
MIN_FREE_BYTES = 1_000_000_000
DAY_S = 86_400.0
LATE_S = 0.002
"""Waking up later than this blurs the moments of readings."""


def examine_machine(
    as_json: bool,
    load: bool,
    root: str | None,
    plugs: tuple[str, ...] = (),
    controllers: tuple[str, ...] = (),
) -> ExitCode:
    """Examine every sensor and print what was found; 5 if nothing can be measured."""
    watts, note = watts_per_thread()
    visible = visible_gpus()
    known = energy_settings(plugs=plugs, controllers=controllers)
    setup = MeterSetup(
        os.getpid(),
        visible.gpus,
        watts,
        note,
        plugs=known.plugs,
        controllers=known.controllers,
    )
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
    close(meters)
    report = {
        "measurable": any(_measures(sensor) for sensor in sensors),
        "sensors": [sensor.to_json() for sensor in sensors],
        "resolved": _resolved(sensors),
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


def _resolved(sensors: list[Examined]) -> list[dict[str, Any]]:
    """By polled meter, the shortest window that it measures to 5 % at the power it shows now."""
    polled: dict[str, list[Examined]] = {}
    for each in sensors:
        if each.sensor.poll_s and each.reading_s is not None:
            polled.setdefault(each.sensor.device, []).append(each)
    found = []
    for device, meters in polled.items():
        powers = [each.shown for each in meters if each.sensor.quantity == "power"]
        power_w = powers[0] if powers and powers[0] else None
        window_s = shortest_window_s([m.sensor for m in meters], power_w) if power_w else None
        found.append({"device": device, "power_w": power_w, "window_s": window_s, "share": SHARE})
    return found


def _resolved_line(found: dict[str, Any]) -> str:
    if found["power_w"] is None:
        return check_line(ok=False, text=f"{found['device']}: shows no power now")
    window_s, share = found["window_s"], f"{found['share']:.0%}"
    least = f"{window_s / 60:.0f} minutes" if window_s and window_s >= 120 else f"{window_s:.0f} s"
    length = f"windows of at least {least}" if window_s else "no window of up to two hours"
    text = f"{found['device']}: at {found['power_w']:.3g} W {length} to {share}, gain apart"
    return check_line(ok=window_s is not None, text=text)


def _measures(examined: Examined) -> bool:
    return not examined.sensor.is_estimate and examined.reading_s is not None


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
    helps = (todo for part, todo in WHAT_TO_DO.items() if part.lower() in note.lower())
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
    yield from map(_resolved_line, report["resolved"])
    only_whole = all(each.sensor.is_of_machine for each in sensors if _measures(each))
    if report["measurable"] and only_whole:
        yield "ok  the whole machine is measured, its parts are not: energy.scope = machine"
    for lack in report["missing"]:
        yield check_line(ok=False, text=lack["what"], todo=lack["do"])
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
    free = disk["free_bytes"] > MIN_FREE_BYTES and disk["writable"]
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
    elif sensor.poll_s:
        facts.append(f"asked every {sensor.poll_s:g} s")
        facts += [f"in steps of {sensor.resolution_j:.3g} J"] if sensor.resolution_j else []
    elif sensor.update_s:
        facts.append("update period not seen (the reading never changed)")
    if sensor.quantity == "power" and not sensor.is_estimate:
        known = "measured" if examined.window_s is not None else "known of its kind"
        window_s = sensor.window_s if examined.window_s is None else examined.window_s
        facts.append(f"averaged over {window_s * 1e3:.0f} ms ({known})")
    facts.append(f"± {sensor.relative_uncertainty:.0%}")
    if sensor.power_curve:
        facts.append(f"calibrated {sensor.power_curve.text}")
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


_PROBE = """
import json, sys
found = {}
try:
    import torch
    found.update(torch=torch.__version__, cuda=torch.version.cuda)
    import torchvision
    found.update(torchvision=torchvision.__version__)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    torchvision.ops.nms(box, torch.ones(1), 0.5)
    found["gpus"] = []
    try:
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except Exception as error:
        found["no_gpu"] = f"{error}".splitlines()[0]
except Exception as error:
    found["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
print(json.dumps(found))
"""
"""An operator of torchvision's is what fails where it was built for another torch."""
_PROBE_S = 120.0
_LOOK_S = 1.0
_BUSY_PROCESS = 0.1
"""Of a core; below it a process disturbs nothing that is measured."""


def software() -> dict[str, Any]:
    """Versions of torch and torchvision, the GPUs that torch sees, and `error` if they do not work.

    In a process of its own, so that nothing of theirs stays here.
    """
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            check=False,
        )
        return dict(json.loads(ended.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return {"error": f"importing torch takes longer than {_PROBE_S:.0f} s"}
    except (IndexError, ValueError):
        return {"error": f"importing torch ends Python (exit code {ended.returncode})"}


def data(root: str | None) -> dict[str, Any]:
    """By data set, why it is not there, or None; and where was looked."""
    found = {}
    for name in DATA:
        try:
            found[name] = missing(WorkloadChoice(data=name, model=next(iter(MODELS)), root=root))
        except OSError as error:
            found[name] = f"{error.filename}: {error.strerror}"
    return {"root": root or ROOT, "missing": found}


def other_work() -> dict[str, Any]:
    """How busy others keep the CPUs, a share of all, and by PID which processes do."""
    before, begun = _cpu_times(), time.monotonic()
    time.sleep(_LOOK_S)
    passed_s = time.monotonic() - begun
    shares = {
        process: (used_s - before[process]) / passed_s
        for process, used_s in _cpu_times().items()
        if process in before
    }
    busy = sorted(process for process, share in shares.items() if share > _BUSY_PROCESS)
    share = min(sum(shares.values()) / (psutil.cpu_count() or 1), 1.0)  # times come in ticks
    return {"share": round(share, 3), "processes": named(busy)}


def _cpu_times() -> dict[int, float]:
    found = {}
    for process in psutil.process_iter():
        if process.pid != os.getpid():
            with suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
    return found


def software_lines(found: dict[str, Any], boards: int) -> Iterator[str]:
    """What `software` found, beside the number of GPUs that the driver lists."""
    versions = f"torch {found.get('torch')}, torchvision {found.get('torchvision')}"
    if "torch" not in found:
        todo = "pip install torch torchvision; reading results needs neither"
        yield check_line(ok=False, text=f"torch: {found['error']}", todo=todo)
    elif "error" in found:
        todo = (
            "they do not fit together; install a pair, such as pip install 'torch===2.13.0' "
            "torchvision==0.28.0"
        )
        yield check_line(ok=False, text=f"{versions}: {found['error']}", todo=todo)
    elif boards and not found["gpus"]:
        built = f"built for CUDA {found['cuda']}" if found["cuda"] else "built without CUDA"
        reason = f": {found['no_gpu']}" if "no_gpu" in found else ""
        todo = (
            "update the driver, or install the torch that fits it (https://pytorch.org); a "
            "CUDA_VISIBLE_DEVICES that is empty hides GPUs, too"
        )
        yield check_line(ok=False, text=f"{versions}: sees no GPU ({built}){reason}", todo=todo)
    else:
        seen = ", ".join(found["gpus"]) or "the CPU"
        yield check_line(ok=True, text=f"{versions}: they fit together; trains on {seen}")


def data_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `data` found."""
    there = ", ".join(name for name, why in found["missing"].items() if why is None)
    absent = ", ".join(name for name, why in found["missing"].items() if why is not None)
    todo = "--root DIR looks elsewhere; workload.download = true fetches MNIST and CIFAR"
    text = f"data: {there}"
    if absent:
        text += f"; not in {found['root']}: {absent}"
    yield check_line(ok=True, text=text, todo=todo if absent else None)


def other_work_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `other_work` found."""
    quiet = found["share"] <= BUSY
    who = ", ".join(f"{name or 'process'} ({pid})" for pid, name in found["processes"].items())
    text = f"other work keeps {found['share']:.0%} of the CPUs busy" + (f": {who}" if who else "")
    yield check_line(
        ok=quiet, text=text, todo=None if quiet else "end it: what CPUs draw counts the machine"
    )


def check_line(*, ok: bool, text: str, todo: str | None = None) -> str:
    """A line with its mark and, beneath, what to do."""
    mark = "ok  " if ok else "--  "
    return f"{mark}{text}" + (f"\n    → {todo}" if todo else "")
