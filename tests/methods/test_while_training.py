"""RigL and PruneTrain, which change the network while it trains, ask for what the papers say."""

from __future__ import annotations

import pytest

from harness import (
    Budget,
    ChannelMask,
    Inspect,
    Mask,
    Rewire,
    Shrink,
    Train,
    dead_channels,
    erdos_renyi,
    group_lasso_weight,
)
from harness.method.phases import Phase
from methods.prune_train import PruneTrain
from methods.rigl import Rigl
from tests.methods.played import epochs_of, kinds, played, trainings


def test_rigl_rewires_until_three_quarters_of_the_budget() -> None:
    assert played(Rigl(sparsity=0.75), Budget(epochs=160)) == [
        Mask(erdos_renyi(0.25), 0.75, samples=1),
        Train("train", epochs=160, rewire=Rewire(100, 0.3, 120.0)),
    ]


def test_static_sparsity_is_rigl_without_its_rewirings() -> None:
    moving, still = (played(Rigl(static=static), Budget(epochs=160)) for static in (False, True))
    assert moving[0] == still[0], "drawn by the same rule, from the same stream"
    assert still[1:] == [Train("train", epochs=160)]


@pytest.mark.parametrize(("epochs", "stretches"), [(25, [10, 10, 5]), (20, [10, 10]), (3, [3])])
def test_prune_train_removes_dead_channels_every_interval(
    epochs: int, stretches: list[int]
) -> None:
    found = iter([ChannelMask({"a": "1111"}), *[ChannelMask({"a": "1101"})] * 9])

    def answer(phase: Phase) -> float | ChannelMask | None:
        if isinstance(phase, Inspect):
            return 0.02 if isinstance(phase.question, group_lasso_weight) else next(found)
        return None

    phases = played(PruneTrain(min_channels=2, round_to=1), Budget(epochs), answer)
    assert phases[0] == Inspect(group_lasso_weight(0.25), samples=128)
    assert [training.epochs for training in trainings(phases)] == stretches
    assert {training.group_lasso for training in trainings(phases)} == {0.02}
    assert kinds(phases[1:3]) == ["Train", "Inspect"]  # all alive: nothing to shrink
    assert kinds(phases[3:]) == ["Train", "Inspect", "Shrink"] * (len(stretches) - 1)
    assert all(p.mask.kept == 3 for p in phases if isinstance(p, Shrink))
    questions = [p.question for p in phases if isinstance(p, Inspect)][1:]
    assert questions == [dead_channels(1e-4, 2, 1)] * len(stretches)
    assert epochs_of(phases) == epochs
