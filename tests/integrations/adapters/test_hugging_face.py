"""Energy windows of a real Hugging Face Trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.adapters.measured import POWER_W, measured

SCRIPT = """
import time, torch
from transformers import Trainer, TrainingArguments
from harness.integrations.hugging_face import EnergyWindows

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
    def forward(self, x, labels):
        time.sleep(0.2 if self.training else 0.3)
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

data = [{"x": torch.randn(4), "labels": torch.tensor(n % 2)} for n in range(16)]
energy = EnergyWindows()
arguments = TrainingArguments(
    "out", num_train_epochs=2, report_to=[], use_cpu=True, per_device_train_batch_size=4,
    per_device_eval_batch_size=4, eval_strategy="epoch", save_strategy="epoch",
    logging_steps=2, disable_tqdm=True,
)
trainer = Trainer(Net(), arguments, train_dataset=data, eval_dataset=data, callbacks=[energy])
begun = time.monotonic()
trainer.train()
whole_s = time.monotonic() - begun
logged = [each["energy_j"] for each in trainer.state.log_history if "energy_j" in each]
print(json.dumps([shown(energy.windows), whole_s, logged]))
"""


def test_a_training_is_tiled_by_its_windows(library: Path, tmp_path: Path) -> None:
    (windows, whole_s, logged), _ = measured(SCRIPT, library, tmp_path, HF_HUB_OFFLINE="1")
    assert set(windows) == {"train", "evaluation", "save", "other"}
    for name, (energy_j, duration_s, _) in windows.items():
        assert energy_j == pytest.approx(POWER_W * duration_s, rel=0.03, abs=2), name
    assert windows["train"][1] >= 8 * 0.2
    assert windows["evaluation"][1] >= 8 * 0.3
    assert windows["evaluation"][2] == windows["save"][2] == 2
    assert sum(duration_s for _, duration_s, _ in windows.values()) <= whole_s
    assert logged == sorted(logged)
    assert logged[0] > 0
