"""Energy windows of a Hugging Face `Trainer`: `Trainer(callbacks=[EnergyWindows()])`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.energy.window_energy import WindowEnergy
from harness.integrations.windows_in_turn import OTHER, WindowsInTurn, summary


class EnergyWindows(TrainerCallback):  # type: ignore[misc]
    """Measures a training: its steps, evaluation, saving, and the rest.

    The trainer's events right before and after evaluation and saving bound their windows. Its log
    history gets `energy_j`, the approximate energy so far.

    Attributes:
        windows: After the training, the energy by window; their sum is the whole.

    Args:
        **options: For `harness.measure`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._turns: WindowsInTurn | None = None
        self.windows: dict[str, WindowEnergy] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin to measure; here every process knows its rank."""
        self._turns = WindowsInTurn(**self._options)
        self._turns.open()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Training resumes."""
        self._turn_to("train")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Turn to what the trainer has decided to do next."""
        self._next(control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """As after a step."""
        self._next(control)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Evaluation is over; saving comes after it."""
        self._turn_to("save" if control.should_save else OTHER)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Saving is over."""
        self._turn_to(OTHER)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Add the energy so far."""
        drawn_j = self._turns.so_far_j() if self._turns else None
        if drawn_j is None:
            return
        if logs is not None:
            logs["energy_j"] = drawn_j  # for callbacks that come after this one
        if state.log_history:
            state.log_history[-1]["energy_j"] = drawn_j

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close the measurement at the end of the training."""
        if self._turns and self._turns.is_open:
            self.windows = self._turns.close()
            print(summary(self.windows))  # noqa: T201 - as the trainer's own callbacks do

    def _next(self, control: TrainerControl) -> None:
        if control.should_evaluate:
            self._turn_to("evaluation")
        elif control.should_save:
            self._turn_to("save")

    def _turn_to(self, name: str) -> None:
        if self._turns:
            self._turns.turn_to(name)
