"""`doctor --calibrate`: what this machine's CPU draws by the number of its busy threads."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from harness.cli.measure import energy_settings
from harness.energy.calibration import calibrate
from harness.energy.health import BUSY
from harness.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from harness.energy.calibration import Calibration


def calibrate_machine(
    level_s: float | None,
    *,
    as_json: bool,
    plugs: tuple[str, ...] = (),
    controllers: tuple[str, ...] = (),
) -> ExitCode:
    """Measure the curve and store it.

    Args:
        level_s: Length of each level; None as the meter needs.
        as_json: Print one JSON object.
        plugs: Addresses of smart plugs that feed the machine.
        controllers: Addresses of its management controllers.

    Raises:
        MeasurementError: No meter here can.
        UsageError: The curve cannot be stored.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    known = energy_settings(plugs=plugs, controllers=controllers)
    found = calibrate(
        threads or 1,
        level_s=level_s,
        plugs=known.plugs,
        controllers=known.controllers,
        progress=lambda text: click.echo(text, err=True),
    )
    try:
        path = found.store()
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None
    facts = _facts(found) | {"file": str(path)}
    if as_json:
        click.echo(json.dumps(facts))
        return ExitCode.DONE
    click.echo(f"idle: {found.idle.power_w:.3g} W ({found.curve.meter})")
    for level, power_w in zip(found.levels, found.curve.power_w, strict=True):
        each = power_w / level.threads
        click.echo(
            f"{level.threads} busy threads: {power_w:.3g} W above idle, {each:.3g} W per thread"
        )
    click.echo(f"between these numbers the curve is right to about {found.curve.residual:.0%}")
    if found.other_work > BUSY:
        click.echo(
            f"other work kept {found.other_work:.0%} of the CPUs busy meanwhile: end it and "
            "calibrate again",
            err=True,
        )
    click.echo(f"stored in {path}; estimates on this machine follow it from now on")
    return ExitCode.DONE


def _facts(found: Calibration) -> dict[str, Any]:
    return {
        "meter": found.curve.meter,
        "date": found.curve.date,
        "idle_w": found.idle.power_w,
        "threads": list(found.curve.threads),
        "power_w": list(found.curve.power_w),
        "residual": found.curve.residual,
        "gain": found.curve.gain,
        "other_work": found.other_work,
    }
