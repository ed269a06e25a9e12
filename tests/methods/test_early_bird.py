"""Early-Bird stops where the paper's rule stops, on recorded sequences of scales."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Budget, ChannelMask, Inspect, Record, Reinitialise, Shrink, Train
from harness.pruning.channels import global_mask
from harness.pruning.questions import bn_channel_mask
from methods.early_bird import EarlyBird

Scales = list[list[float]]  # [layer][channel]


def recorded(seed: int, epochs: int, drift: float) -> list[Scales]:
    """Scales of three layers over epochs: a random walk whose steps die away."""
    chance = random.Random(seed)
    scales = [[0.5] * width for width in (8, 16, 24)]
    history = []
    for epoch in range(epochs):
        step = drift / (1 + epoch)
        scales = [[abs(g + chance.gauss(0, step)) for g in layer] for layer in scales]
        history.append(scales)
    return history


def papers_rule(
    history: list[Scales], prune_ratio: float, epsilon: float, fifo_length: int
) -> tuple[int | None, list[str]]:
    """Slow and obvious: the epoch at which the ticket is drawn (None: never), and all raw masks."""
    masks: list[str] = []
    drawn = None
    for epoch, scales in enumerate(history, start=1):
        flat = [abs(gamma) for layer in scales for gamma in layer]
        threshold = sorted(flat)[int(len(flat) * prune_ratio)]
        masks.append("".join("1" if gamma > threshold else "0" for gamma in flat))
        if len(masks) < fifo_length or drawn is not None:
            continue
        newest, *others = reversed(masks[-fifo_length:])
        distances = [sum(a != b for a, b in zip(newest, o, strict=True)) / len(o) for o in others]
        if max(distances, default=0.0) <= epsilon:
            drawn = epoch
    return drawn, masks


def played(method: EarlyBird, history: list[Scales], budget: Budget) -> tuple[list[Any], list[str]]:
    """Run the method's generator against recorded scales; its phases and the masks it saw."""
    phases, masks = [], []
    epoch = 0
    generator = method.phases(budget)
    answer: Any = None
    while True:
        try:
            phase = generator.send(answer)
        except StopIteration:
            return phases, masks
        phases.append(phase)
        answer = phase.dummy_answer()
        if isinstance(phase, Train):
            epoch += phase.epochs
        elif isinstance(phase, Inspect) and isinstance(phase.question, bn_channel_mask):
            ask = phase.question
            scores = {str(i): torch.tensor(s) for i, s in enumerate(history[epoch - 1])}
            answer = global_mask(scores, ask.prune_ratio, ask.min_channels, ask.round_to)
            if ask == bn_channel_mask(method.prune_ratio):
                masks.append("".join(answer.layers.values()))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    drift=st.sampled_from([0.02, 0.2, 1.0]),
    prune_ratio=st.sampled_from([0.3, 0.5, 0.7]),
    epsilon=st.sampled_from([0.02, 0.1, 0.2]),
    fifo_length=st.sampled_from([2, 3, 5]),
)
def test_stops_at_the_papers_epoch_with_the_papers_masks(
    seed: int, drift: float, prune_ratio: float, epsilon: float, fifo_length: int
) -> None:
    history = recorded(seed, epochs=20, drift=drift)
    method = EarlyBird(
        prune_ratio=prune_ratio, max_distance=epsilon, window=fifo_length, search_epochs=20
    )
    phases, masks = played(method, history, Budget(epochs=20))
    expected, expected_masks = papers_rule(history, prune_ratio, epsilon, fifo_length)
    searched = sum(isinstance(p, Train) and p.name == "search" for p in phases)
    assert searched == (expected or 20)
    assert masks == expected_masks[:searched]
    [facts] = [phase.facts for phase in phases if isinstance(phase, Record)]
    assert facts == {"ticket_emerged": expected is not None, "ticket_epoch": searched}


def test_both_endings_occur_in_the_recorded_sequences() -> None:
    """The property above would be empty if tickets always, or never, emerged."""
    found = [papers_rule(recorded(seed, 20, 1.0), 0.5, 0.02, 5)[0] for seed in range(10)]
    found += [papers_rule(recorded(seed, 20, 0.2), 0.5, 0.1, 5)[0] for seed in range(10)]
    assert None in found
    assert len(set(found)) > 4


def test_without_a_ticket_it_prunes_at_the_end_of_the_search_and_says_so() -> None:
    history = recorded(seed=3, epochs=16, drift=5.0)
    method = EarlyBird(max_distance=0.001)
    phases, _ = played(method, history, Budget(epochs=16))
    [facts] = [phase.facts for phase in phases if isinstance(phase, Record)]
    assert facts == {"ticket_emerged": False, "ticket_epoch": 8}
    assert sum(phase.epochs for phase in phases if isinstance(phase, Train)) == 16
    assert [type(phase) for phase in phases[-3:]] == [Inspect, Shrink, Train]


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_the_smallest_budgets_do_not_crash(epochs: int) -> None:
    phases, _ = played(EarlyBird(), recorded(0, epochs, 0.2), Budget(epochs))
    assert sum(phase.epochs for phase in phases if isinstance(phase, Train)) == epochs


def test_reinit_draws_new_weights_and_trains_the_whole_budget() -> None:
    phases, _ = played(EarlyBird(reinit=True, window=2), recorded(0, 16, 0.1), Budget(16))
    assert any(isinstance(phase, Reinitialise) for phase in phases)
    assert phases[-1] == Train("retrain", epochs=16, l1_gamma=1e-4)


def test_the_ticket_has_a_floor_and_rounded_widths_but_the_distance_is_the_papers() -> None:
    phases, masks = played(EarlyBird(window=2), recorded(0, 16, 0.1), Budget(16))
    [shrink] = [phase for phase in phases if isinstance(phase, Shrink)]
    assert isinstance(shrink.mask, ChannelMask)
    assert all(width % 8 == 0 and width >= 8 for width in shrink.mask.widths().values())
    assert shrink.mask.kept >= masks[-1].count("1")


@pytest.mark.parametrize(
    ("low_precision", "search", "retrain"),
    [("none", None, None), ("search", "bf16", None), ("all", "bf16", "bf16")],
)
def test_low_precision_reaches_as_far_as_it_is_asked_to(
    low_precision: Any, search: str | None, retrain: str | None
) -> None:
    method = EarlyBird(window=2, low_precision=low_precision, low="bf16")
    phases, _ = played(method, recorded(0, 16, 0.1), Budget(16))
    trainings = [phase for phase in phases if isinstance(phase, Train)]
    assert {phase.precision for phase in trainings if phase.name == "search"} == {search}
    assert trainings[-1].name == "retrain"
    assert trainings[-1].precision == retrain


def test_the_papers_low_precision_is_8_simulated_bits() -> None:
    phases, _ = played(EarlyBird(low_precision="all"), recorded(0, 16, 0.1), Budget(16))
    assert {p.precision for p in phases if isinstance(p, Train)} == {"int8_simulated"}
