"""Checkpoints: a state of training, and where in the method it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.training import tensor_files as files


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        number: Counts a run's checkpoints from 1.
        phase: Index of the phase to go on with.
        epoch: How many epochs of that phase are done.
        state: Tensors and plain values (`TrainingState.state_dict`).
        val_score: Of this state on validation data, if it was looked at.
    """

    number: int
    phase: int
    epoch: int
    state: dict[str, Any]
    val_score: float | None = None

    def save(self, path: Path) -> None:
        """Replace the checkpoint in `path`."""
        files.save(path, vars(self))

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Checkpoint | None:
        """The checkpoint in `path`, its tensors on `device`; None where there is none."""
        saved = files.load(path, device)
        if saved is None:
            return None
        if "val_accuracy" in saved:  # as formats 1 and 2 called it
            saved["val_score"] = saved.pop("val_accuracy")
        return cls(**saved)
