"""The controls differ from what they control in what they are named for, and in nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from harness import (
    Batch,
    Budget,
    ChannelMask,
    Finished,
    Inspect,
    Recall,
    Record,
    Reinitialise,
    RunError,
    Shrink,
    Shuffle,
    Train,
    shuffled_channels,
    uniform_channels,
)
from harness.method.phases import Phase
from methods.dense import Dense
from methods.dense_short import DenseShort
from methods.early_bird import EarlyBird
from methods.fixed_epoch_prune import FixedEpochPrune
from methods.lottery_ticket import LotteryTicket
from methods.random_ticket import RandomTicket
from methods.shuffled_ticket import ShuffledTicket
from methods.small_dense import SmallDense
from tests.methods.played import epochs_of, kinds, played

BUDGET = Budget(epochs=20)
TICKET = ChannelMask({"a": "1" * 8 + "0" * 24, "b": "10" * 12})


def energies(**joules: float) -> Any:
    """Answers `Recall` with the joules of each method."""

    def answer(phase: Phase) -> Finished | None:
        if isinstance(phase, Recall):
            return Finished(energy_j=joules[phase.method], epochs_trained=20, ticket=TICKET)
        return None

    return answer


def answered_with_the_ticket(phase: Phase) -> ChannelMask | None:
    if isinstance(phase, Inspect) and not isinstance(phase.question, shuffled_channels):
        return TICKET
    return None


@pytest.mark.parametrize(("share", "epochs"), [(0.25, 5), (0.5, 10), (0.99, 20), (0.001, 1)])
def test_dense_short_anneals_a_share_of_the_budget_to_its_end(share: float, epochs: int) -> None:
    assert played(DenseShort(share=share), BUDGET) == [
        Train("train", epochs=epochs, horizon=epochs)
    ]
    assert DenseShort(share=share).relies_on() == ()


@pytest.mark.parametrize(("joules", "epochs"), [(30.0, 6), (1.0, 1), (100.0, 20), (250.0, 50)])
def test_dense_short_trains_for_the_joules_of_another_method(joules: float, epochs: int) -> None:
    method = DenseShort(match="early_bird")
    phases = played(method, BUDGET, energies(dense=100.0, early_bird=joules))
    assert phases == [
        Recall("dense"),
        Recall("early_bird"),
        Record({"matched_j": joules, "matched_share": joules / 100.0}),
        Train("train", epochs=epochs, horizon=epochs),
    ]
    assert {phase.method for phase in phases if isinstance(phase, Recall)} == {*method.relies_on()}


@pytest.mark.parametrize("given", [{}, {"share": 0.5, "match": "early_bird"}])
def test_dense_short_wants_exactly_one_length(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give either share or match"):
        DenseShort(**given)


def test_small_dense_trains_a_network_of_the_tickets_widths_from_scratch() -> None:
    phases = played(SmallDense(), BUDGET, energies(early_bird=1.0))
    assert phases == [
        Recall("early_bird"),
        Shrink(TICKET),
        Reinitialise(),
        *played(Dense(), BUDGET),
    ]
    assert SmallDense(of="progressive").relies_on() == ("progressive",)


def test_small_dense_of_a_share_asks_for_no_ticket() -> None:
    method = SmallDense(share=0.5)
    assert method.relies_on() == ()
    phases = played(method, BUDGET)
    assert phases[0] == Inspect(uniform_channels(0.5))
    assert kinds(phases) == ["Inspect", "Shrink", "Reinitialise", "Train"]


@pytest.mark.parametrize(("length", "epochs"), [(0.25, 5), (0.5, 10), (0.001, 1)])
def test_small_dense_can_be_as_short_as_dense_short(length: float, epochs: int) -> None:
    [*_, training] = played(SmallDense(share=0.5, length=length), BUDGET)
    assert [training] == played(DenseShort(share=length), BUDGET)
    assert training == Train("train", epochs=epochs, horizon=epochs)


@pytest.mark.parametrize(("share", "widths"), [(0.5, [16, 12]), (0.9, [29, 22]), (0.01, [1, 1])])
def test_uniform_channels_keep_the_share_of_every_group(share: float, widths: list[int]) -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3),
        torch.nn.BatchNorm2d(32),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 24, 3),
        torch.nn.BatchNorm2d(24),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(24, 4),
    )
    batch = Batch(torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64))
    mask = uniform_channels(share)(network, batch)
    assert list(mask.widths().values()) == widths
    assert uniform_channels(share).dummy_answer() == ChannelMask({})


def test_small_dense_of_a_method_without_a_ticket_says_so() -> None:
    def no_ticket(phase: Phase) -> Finished | None:
        return Finished(1.0, 20, None) if isinstance(phase, Recall) else None

    with pytest.raises(RunError, match="lottery_ticket removed no channels"):
        played(SmallDense(of="lottery_ticket"), BUDGET, no_ticket)


@pytest.mark.parametrize("reinit", [False, True])
def test_a_random_ticket_is_early_birds_in_all_but_the_places(reinit: bool) -> None:
    real = played(EarlyBird(reinit=reinit), BUDGET, answered_with_the_ticket)
    random = played(RandomTicket(reinit=reinit), BUDGET, answered_with_the_ticket)
    drawing = next(i for i, phase in enumerate(random) if isinstance(phase, Shrink)) - 1
    assert random[drawing] == Inspect(shuffled_channels(TICKET))
    assert random[:drawing] + random[drawing + 1 :] == real
    assert epochs_of(random) == epochs_of(real) == BUDGET.epochs + (5 if reinit else 0)


def test_the_random_ticket_shrinks_by_what_was_shuffled() -> None:
    torch.manual_seed(0)
    shuffled = shuffled_channels(TICKET)(None, None)

    def answer(phase: Phase) -> ChannelMask | None:
        if isinstance(phase, Inspect) and isinstance(phase.question, shuffled_channels):
            return shuffled
        return answered_with_the_ticket(phase)

    [shrink] = [p for p in played(RandomTicket(), BUDGET, answer) if isinstance(p, Shrink)]
    assert shrink.mask == shuffled
    assert shrink.mask != TICKET
    assert shrink.mask.widths() == TICKET.widths()


@pytest.mark.parametrize(("epoch", "searched"), [(None, 2), (7, 7), (30, 20)])
def test_the_fixed_epoch_is_kept_whatever_the_mask_does(epoch: int | None, searched: int) -> None:
    phases = played(FixedEpochPrune(epoch=epoch), BUDGET, answered_with_the_ticket)
    assert phases == [
        Train("search", epochs=searched, l1_gamma=1e-4),
        FixedEpochPrune().ticket(0.5),
        Shrink(TICKET),
        Train("retrain", epochs=20 - searched, l1_gamma=1e-4),
    ]


def test_a_tiny_budget_is_pruned_after_one_epoch() -> None:
    phases = played(FixedEpochPrune(), Budget(epochs=1))
    assert [phase.epochs for phase in phases if isinstance(phase, Train)] == [1, 0]


@pytest.mark.parametrize("early", [{"rewind_epoch": 2}, {"rewind_steps": 500}])
@pytest.mark.parametrize("rounds", [1, 3])
def test_shuffling_before_the_last_rewinding_is_all_that_is_added(
    rounds: int, early: dict[str, int]
) -> None:
    settings: dict[str, Any] = {"rounds": rounds, "fraction": 0.3} | early
    phases = played(ShuffledTicket(**settings), BUDGET)
    assert kinds(phases)[-4:] == ["Mask", "Shuffle", "Rewind", "Train"]
    assert kinds(phases).count("Shuffle") == 1
    phases.remove(Shuffle())
    assert phases == played(LotteryTicket(**settings), BUDGET)


def test_the_shuffled_tickets_defaults_are_the_tickets() -> None:
    ticket = LotteryTicket().model_dump()
    assert ShuffledTicket().model_dump() == {
        key: ticket[key] for key in ShuffledTicket.model_fields
    }
