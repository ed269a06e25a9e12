"""Dense, progressive and lottery ticket ask for what their sources describe."""

from __future__ import annotations

import pytest

from harness import Budget, Mask, Rewind, Shrink, Snapshot, SnapshotAt, Train, magnitude
from harness.method.dry_run import planned_epochs, planned_phases
from harness.method.phases import Phase
from methods.dense import Dense
from methods.lottery_ticket import LotteryTicket
from methods.progressive import Progressive
from tests.methods.played import kinds, played, trainings

BUDGET = Budget(epochs=16)


def test_dense_trains_the_whole_budget() -> None:
    assert planned_phases(Dense(), BUDGET) == [Train("train", epochs=16)]


def test_progressive_shrinks_and_retrains_every_round_at_full_length() -> None:
    phases = planned_phases(Progressive(rounds=2), BUDGET)
    assert kinds(phases) == ["Train", "Inspect", "Shrink", "Train", "Inspect", "Shrink", "Train"]
    assert planned_epochs(Progressive(rounds=2), BUDGET) == 48


def test_one_round_is_network_slimming_with_the_papers_numbers() -> None:
    first, _, shrink, retraining = planned_phases(Progressive(l1_gamma=1e-5), BUDGET)
    assert first == Train("train", epochs=16, l1_gamma=1e-5)
    assert isinstance(shrink, Shrink)
    assert retraining == Train("retrain 1", epochs=16, start_epoch=0, horizon=16)
    assert (Progressive().prune_ratio, Progressive().l1_gamma) == (0.7, 1e-4)


def test_progressive_penalises_scales_only_before_a_pruning() -> None:
    first, middle, last = trainings(planned_phases(Progressive(rounds=2, l1_gamma=1e-4), BUDGET))
    assert (first.l1_gamma, middle.l1_gamma, last.l1_gamma) == (1e-4, 1e-4, 0.0)


@pytest.mark.parametrize(("epochs", "start"), [(4, 12), (16, 0), (20, 0)])
def test_rate_rewinding_starts_where_its_epochs_are_left(epochs: int, start: int) -> None:
    method = Progressive(rounds=1, retrain_epochs=epochs)
    retraining = trainings(planned_phases(method, BUDGET))[-1]
    assert (retraining.epochs, retraining.start_epoch, retraining.rate) == (epochs, start, None)
    assert retraining.horizon == max(16, epochs)


def test_fine_tuning_is_at_a_low_constant_rate() -> None:
    method = Progressive(rounds=1, retrain="finetune", finetune_rate=0.01, retrain_epochs=3)
    retraining = trainings(planned_phases(method, BUDGET))[-1]
    assert (retraining.epochs, retraining.rate, retraining.start_epoch) == (3, 0.01, None)


def test_the_lottery_costs_a_training_more_than_it_has_rounds() -> None:
    phases = planned_phases(LotteryTicket(rounds=3, rewind_epoch=1), BUDGET)
    assert planned_epochs(LotteryTicket(rounds=3, rewind_epoch=1), BUDGET) == 16 + 3 * 15
    assert [type(p) for p in phases[:3]] == [Train, Snapshot, Train]
    rounds = [phase for phase in phases if isinstance(phase, Mask)]
    assert rounds == [Mask(magnitude, 0.2)] * 3
    assert kinds(phases[3:]) == ["Mask", "Rewind", "Train"] * 3


def test_rewinding_to_epoch_0_is_the_original_ticket() -> None:
    phases = planned_phases(LotteryTicket(rounds=1, rewind_epoch=0), BUDGET)
    assert [t.epochs for t in trainings(phases)] == [0, 16, 16]


@pytest.mark.parametrize(("place", "epochs"), [(2.9, 14), (2.0, 14), (0.4, 16)])
def test_rewinding_to_a_step_finishes_the_epoch_that_was_begun(place: float, epochs: int) -> None:
    def answer(phase: Phase) -> float | None:
        return place if isinstance(phase, Rewind) else None

    phases = played(LotteryTicket(rounds=2, rewind_steps=500), BUDGET, answer)
    assert phases[0] == Train("level 0", epochs=16, snapshot=SnapshotAt("early", 500))
    assert kinds(phases[1:]) == ["Mask", "Rewind", "Train"] * 2
    assert [phase.epochs for phase in trainings(phases)] == [16, epochs, epochs]


def test_a_phase_is_known_by_a_description_that_an_older_version_recorded() -> None:
    """Before phases could take a snapshot, descriptions did not speak of one."""
    plain, taking = (
        Train("train", epochs=1, snapshot=each) for each in (None, SnapshotAt("early", 5))
    )
    assert taking.describe()["snapshot"] == {"name": "early", "step": 5}
    old = {key: value for key, value in plain.describe().items() if key != "snapshot"}
    assert plain.is_described_by(old)
    assert not taking.is_described_by(old)


def test_a_structured_ticket_shrinks_before_it_rewinds() -> None:
    phases = planned_phases(LotteryTicket(rounds=2, structured=True), BUDGET)
    assert kinds(phases[3:]) == ["Inspect", "Shrink", "Rewind", "Train"] * 2
    assert not any(isinstance(phase, Mask) for phase in phases)
    assert all(isinstance(p, Rewind) for p in phases if kinds([p]) == ["Rewind"])
    assert sum(isinstance(p, Shrink) for p in phases) == 2
