"""`measure`: the energy of any command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from harness.energy.carbon.factor import CarbonFactor, carbon_factor
from harness.energy.measurement import Measurement
from harness.energy.sensors.base import MeterSetup, Scope
from harness.energy.sensors.discover import check_scope, visible_gpus
from harness.energy.sensors.estimate import watts_per_thread
from harness.energy.window_energy import DeviceEnergy, Measured, joules_json
from harness.errors import UsageError
from harness.settings.settings import Carbon, EnergySettings

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""What a shell says of a command that cannot be run, or is not there."""
_TIMEOUT = 3


def measure_command(
    command: tuple[str, ...],
    as_json: bool,
    out: str | None,
    period_s: float,
    idle_s: float,
    country: str | None,
    scope: Scope,
    plugs: tuple[str, ...],
    controllers: tuple[str, ...],
) -> int:
    """Run `command` in a recorder's window; returns its exit code.

    Raises:
        UsageError: The country is unknown, or the folder cannot be written.
        MeasurementError: Nothing measures the whole machine, which was asked for.
    """
    factor = carbon_factor(Carbon(country=country))
    meters = {"scope": scope, "plugs": plugs, "controllers": controllers}
    settings = energy_settings(period_s=period_s, idle_s=idle_s, **meters)
    check_scope(settings)
    watts, watts_note = watts_per_thread()
    visible = visible_gpus()
    # The window's process is this one: what it starts is its descendant and counts.
    setup = MeterSetup(os.getpid(), visible.gpus, watts, watts_note)
    with _folder(out) as folder:
        trace = folder / "trace.jsonl"
        trace.unlink(missing_ok=True)
        with Measurement(trace, settings, setup) as running:
            running.open_window()
            code = _run(command, sys.stderr if as_json else None)
            running.close_window()
        found = running.result
        if found is None:
            raise RuntimeError("a measurement ended without a result")
        report = _report(found, factor, command, code, visible.note)
        if out:
            (folder / "measurement.json").write_text(json.dumps(report, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo(_told(found, factor), err=True)
    return code


def energy_settings(**given: Any) -> EnergySettings:
    """Settings from options.

    Raises:
        UsageError: One is wrong.
    """
    try:
        return EnergySettings(**given)
    except ValidationError as error:
        raise UsageError(str(error.errors()[0]["ctx"]["error"])) from None


@contextlib.contextmanager
def _folder(out: str | None) -> Any:
    if out is None:
        with tempfile.TemporaryDirectory(prefix="energy-harness-") as folder:
            yield Path(folder)
        return
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from None
    yield Path(out)


def _run(command: tuple[str, ...], output: Any) -> int:
    """Run the command to its end, whatever interrupts; its exit code as a shell gives it."""
    try:
        process = subprocess.Popen(command, stdout=output)
    except FileNotFoundError:
        click.echo(f"error: {command[0]}: command not found", err=True)
        return NOT_FOUND
    except OSError as error:
        click.echo(f"error: {command[0]}: {error.strerror}", err=True)
        return NOT_EXECUTABLE
    # A signal to end is meant for the command; what it used until then is reported.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    # The terminal sends Ctrl-C to the command as well: let it end as it wants to, the first times.
    for patience in range(_TIMEOUT):
        try:
            # Without taking its exit code: an interruption in between would lose it.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            break
        except KeyboardInterrupt:
            if patience:
                process.terminate()
    else:
        process.kill()
    code = process.wait()
    return 128 - code if code < 0 else code


def _report(
    found: Measured,
    factor: CarbonFactor,
    command: tuple[str, ...],
    code: int,
    note: str | None,
) -> dict[str, Any]:
    known = bool(found.devices)
    return {
        "duration_s": found.duration_s,
        **(joules_json(found.joules) if known else dict.fromkeys(joules_json(found.joules))),
        "co2e_kg": factor.co2e_kg(found.joules.energy_j) if known else None,
        "carbon_basis": factor.basis,
        "source": "+".join(sorted({device.source for device in found.devices})) or "none",
        "devices": [device.to_json() for device in found.devices],
        "beside": [device.to_json() for device in found.beside],
        "missed": asdict(found.missed) if found.missed else None,
        "flags": list(found.flags),
        "notes": [*found.notes, *([note] if note else [])],
        "command": list(command),
        "exit_code": code,
    }


def _told(found: Measured, factor: CarbonFactor) -> str:
    """The figure in a few lines for people."""
    from reports.text.units import within

    if not found.devices:
        seen = [*map(_device_line, found.beside), *found.notes]
        return "energy: unknown, no sensor was found\n" + "\n".join(seen)
    joules = found.joules
    source = ", ".join(sorted({device.source for device in found.devices}))
    error = within(joules.energy_j, joules.uncertainty_j)
    figure = f"{joules.energy_j:.4g} J {error} (95 %, {source})"
    lines = [
        f"energy   {figure} in {found.duration_s:.4g} s, {joules.coverage:.1%} observed",
        f"CO2e     {factor.co2e_kg(joules.energy_j) * 1e6:.3g} mg ({factor.basis})",
    ]
    lines += map(_device_line, found.devices)
    lines += [f"{_device_line(each)}, beside: not in the sum" for each in found.beside]
    if gap := found.missed:
        share = f"{gap.share:.0%} ± {gap.uncertainty:.0%}"
        lines.append(f"missed   {share} of the machine's energy is in no measured part")
    lines += [f"careful  {flag}" for flag in found.flags]
    lines += [f"note     {note}" for note in found.notes]
    return "\n".join(lines)


def _device_line(device: DeviceEnergy) -> str:
    idle = device.idle_energy_j
    beside = "" if idle is None else f", of which {idle:.4g} J it draws idle as well"
    energy_j, error_j = device.joules.energy_j, device.joules.uncertainty_j
    within = f" ± {error_j:.2g} J" if device.kind == "machine" else ""
    return (
        f"{device.kind:8} {energy_j:.4g} J{within}, {device.mean_power_w:.4g} W{beside} "
        f"({device.name})"
    )
