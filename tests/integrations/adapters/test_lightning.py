"""Energy windows of a real Lightning Trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.adapters.measured import POWER_W, measured

SCRIPT = """
import sys, time, torch
from lightning.pytorch import LightningModule, Trainer
from harness.integrations.lightning import EnergyWindows

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def training_step(self, batch, _):
        time.sleep(0.2)
        if {breaks} and self.current_epoch == 1:
            raise ValueError("no such thing")
        return self.layer(batch[0]).square().mean()
    def validation_step(self, batch, _):
        time.sleep(0.3)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

data = torch.utils.data.DataLoader(
    torch.utils.data.TensorDataset(torch.randn(16, 4)), batch_size=4)
energy = EnergyWindows()
trainer = Trainer(max_epochs=2, callbacks=[energy], accelerator="cpu", logger=False,
                  enable_checkpointing=False, enable_progress_bar=False)
begun = time.monotonic()
try:
    trainer.fit(Net(), data, data)
except ValueError:
    pass
whole_s = time.monotonic() - begun
logged = trainer.callback_metrics.get("energy_j")
print(json.dumps([shown(energy.windows), whole_s, None if logged is None else float(logged)]))
"""


def test_a_fit_is_tiled_by_its_windows(library: Path, tmp_path: Path) -> None:
    (windows, whole_s, logged), ended = measured(
        SCRIPT.replace("{breaks}", "False"), library, tmp_path
    )
    assert set(windows) == {"train", "validation", "sanity check", "other"}
    for name, (energy_j, duration_s, _) in windows.items():
        assert energy_j == pytest.approx(POWER_W * duration_s, rel=0.03, abs=2), name
    assert windows["train"][1] >= 8 * 0.2
    assert windows["validation"][1] >= 8 * 0.3
    assert windows["sanity check"][1] >= 2 * 0.3
    assert sum(duration_s for _, duration_s, _ in windows.values()) <= whole_s
    assert 0 < logged <= POWER_W * whole_s
    assert "train:" in ended.stderr + ended.stdout


def test_what_a_broken_fit_drew_counts(library: Path, tmp_path: Path) -> None:
    (windows, _, _), _ = measured(SCRIPT.replace("{breaks}", "True"), library, tmp_path)
    assert windows["train"][1] >= 5 * 0.2
    assert windows["validation"][2] == 1


def test_other_ranks_of_a_node_do_not_measure_it_again(library: Path, tmp_path: Path) -> None:
    script = """
from harness.integrations.windows_in_turn import WindowsInTurn
turns = WindowsInTurn()
turns.open()
turns.turn_to("train")
print(json.dumps([turns.is_open, turns.so_far_j(), turns.close()]))
"""
    output, _ = measured(script, library, tmp_path, LOCAL_RANK="1")
    assert output == [False, None, {}]
