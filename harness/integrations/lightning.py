"""Energy windows of a Lightning `Trainer`: `Trainer(callbacks=[EnergyWindows()])`."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from harness.energy.window_energy import WindowEnergy
from harness.integrations.windows_in_turn import OTHER, WindowsInTurn, summary


class EnergyWindows(Callback):  # type: ignore[misc]
    """Measures a fit: its training, its validation, and the rest.

    With every epoch it logs `energy_j`, the approximate energy so far.

    Attributes:
        windows: After the fit, the energy by window; their sum is the whole.

    Args:
        **options: For `harness.measure`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options
        self._turns: WindowsInTurn | None = None
        self.windows: dict[str, WindowEnergy] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure; here every process knows its rank."""
        self._turns = WindowsInTurn(**self._options)
        self._turns.open()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training resumes."""
        self._turn_to("train")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation, within an epoch or before the first."""
        self._turn_to("sanity check" if trainer.sanity_checking else "validation")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Back to training."""
        self._turn_to(OTHER if trainer.sanity_checking else "train")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the energy so far; checkpoints and the like are not part of training."""
        drawn_j = self._turns.so_far_j() if self._turns else None
        if drawn_j is not None:
            self.log("energy_j", drawn_j, rank_zero_only=True)
        self._turn_to(OTHER)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the measurement of a fit that failed."""
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the measurement at the end of the fit."""
        self._close()

    def _turn_to(self, name: str) -> None:
        if self._turns:
            self._turns.turn_to(name)

    def _close(self) -> None:
        if self._turns and self._turns.is_open:
            self.windows = self._turns.close()
            rank_zero_info(summary(self.windows))
