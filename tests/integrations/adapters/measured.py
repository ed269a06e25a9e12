"""A script that measures itself, beside a stand-in GPU of known power."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests import prepared
from tests.conftest import REPOSITORY
from tests.fakes.stand_in import StandIn

POWER_W = 200.0
# The stand-in is a driver's library alone: what asks NVML sees a card, and CUDA does not start.
SHOW = """
import json, torch
torch.cuda.is_available, torch.cuda.device_count = lambda: False, lambda: 0
def shown(windows):
    return {n: [w.joules.energy_j, w.duration_s, len(w.each)] for n, w in windows.items()}
"""


def measured(
    script: str, library: Path, folder: Path, **env: str
) -> tuple[Any, subprocess.CompletedProcess[str]]:
    """What the last line of the script's output says, as JSON, and how it ended."""
    (folder / "driver").mkdir()
    machine = StandIn(folder / "driver" / "state", power_w=[POWER_W])
    kept = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    try:
        ended = subprocess.run(
            [prepared.python(), "-c", SHOW + script],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(REPOSITORY), **machine.environment(library), **env},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        machine.close()
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1]), ended
