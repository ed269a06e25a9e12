"""Every kind of meter that there is."""

from __future__ import annotations

from harness.energy.meter import Finder
from harness.energy.meters import estimate, nvml, rapl, zeus_devices

FINDERS: dict[str, Finder] = {
    "nvml": nvml.find,
    "rapl": rapl.find,
    "zeus": zeus_devices.find,
    "estimate": estimate.find,
}
"""From the kind of meter, as a study names it, to what finds such meters on this machine."""
