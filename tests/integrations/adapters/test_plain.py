"""Energy windows hooked to an optimizer, and windows within a measured block."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.adapters.measured import POWER_W, measured

SCRIPT = """
import time, torch, harness
from harness.integrations.plain import steps_measured

weight = torch.nn.Parameter(torch.ones(1))
optimizer = torch.optim.SGD([weight], lr=0.1)

def train(steps):
    for _ in range(steps):
        (weight ** 2).sum().backward()
        optimizer.step()
        time.sleep(0.2)

with harness.measure() as energy, steps_measured(optimizer, energy, every=5):
    train(12)
    before = energy.so_far_j()
    with energy.window("pause"):
        time.sleep(1)
    with energy.window("pause"):
        time.sleep(0.5)
windows = shown(energy.windows)
train(5)  # nothing is hooked any more

with harness.measure() as again, steps_measured(optimizer, again, every=2):
    train(2)
refused = []
for wrong in (lambda: again.begin("late"), lambda: again.end("never")):
    try:
        wrong()
    except RuntimeError as error:
        refused.append(str(error))
total = [energy.found.joules.energy_j, energy.found.duration_s]
print(json.dumps([windows, total, before, list(again.windows), refused]))
"""


def test_every_so_many_steps_have_a_window(library: Path, tmp_path: Path) -> None:
    (windows, total, before, again, refused), _ = measured(SCRIPT, library, tmp_path)
    assert list(windows) == ["steps 1-5", "steps 6-10", "pause", "steps 11-12"]
    for name, (energy_j, duration_s, _) in windows.items():
        assert energy_j == pytest.approx(POWER_W * duration_s, rel=0.03), name
    assert windows["pause"][1] >= 1.5
    assert windows["pause"][2] == 2
    assert windows["steps 1-5"][1] >= 4 * 0.2
    assert total[0] == pytest.approx(POWER_W * total[1], rel=0.02)
    assert 0 < before < total[0]
    assert again == ["steps 1-2", "after the last step"]
    assert refused == [
        "window 'late': is open already, or nothing is measured now",
        "window 'never': is not open",
    ]
