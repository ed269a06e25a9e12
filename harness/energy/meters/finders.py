"""Every kind of meter that there is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.energy.meter import Finder, MeterSetup
from harness.energy.meters import estimate, nvml, rapl, zeus_devices
from harness.errors import MeasurementError

if TYPE_CHECKING:
    from harness.settings import EnergySettings

FINDERS: dict[str, Finder] = {
    "nvml": nvml.find,
    "rapl": rapl.find,
    "zeus": zeus_devices.find,
    "estimate": estimate.find,
}
"""From the kind of meter, as a study names it, to what finds such meters on this machine."""


def check_measurable(settings: EnergySettings) -> None:
    """Find out whether any sensor of this machine measures, before anything is run.

    Raises:
        MeasurementError: None does; the message says why each is missing.
    """
    setup = MeterSetup(os.getpid(), None, 0.0, "")
    found = [FINDERS[kind](setup) for kind in settings.meters]
    sources = {meter.sensor.source for each in found for meter in each.meters}
    if not sources & {"counter", "sampled"}:
        reasons = [note for each in found for note in each.notes]
        if sources:
            reasons.append(f"there is only what is {' or '.join(sorted(sources))}")
        raise MeasurementError("; ".join(["no sensor measures energy here", *reasons]))
