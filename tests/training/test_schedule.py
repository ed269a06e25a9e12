"""Learning rates at known places of known schedules."""

from __future__ import annotations

import math

import pytest
import torch

from harness.settings.settings import Training
from harness.training.loop import rate_share


@pytest.mark.parametrize(
    ("epoch", "share"), [(0, 1), (79.9, 1), (80, 0.1), (119.9, 0.1), (120, 0.01), (200, 0.01)]
)
def test_step_is_the_papers_recipe(epoch: float, share: float) -> None:
    assert rate_share(Training(epochs=160), epoch, 160) == pytest.approx(share)


@pytest.mark.parametrize("epoch", [0, 4, 8, 12, 16])
def test_cosine_falls_to_zero_over_its_horizon(epoch: float) -> None:
    expected = (1 + math.cos(math.pi * epoch / 16)) / 2
    assert rate_share(Training(schedule="cosine"), epoch, 16) == pytest.approx(expected)


def test_a_longer_horizon_stretches_the_schedule() -> None:
    recipe = Training(schedule="cosine")
    assert rate_share(recipe, 8, 16) == pytest.approx(rate_share(recipe, 16, 32))


def test_warm_up_is_linear_from_zero() -> None:
    recipe = Training(schedule="constant", warmup_epochs=4)
    assert [rate_share(recipe, epoch, 16) for epoch in (0, 1, 4, 9)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize("peak", [0.1, 0.3])
def test_one_cycle_is_pytorchs(peak: float) -> None:
    steps = 50
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps + 1, pct_start=peak, cycle_momentum=False
    )
    recipe = Training(schedule="one_cycle", peak=peak)
    # PyTorch counts its rise to one step before `peak` and its fall from there.
    rise = (peak * (steps + 1) - 1) / steps
    for step in range(steps):
        ours = rate_share(recipe.model_copy(update={"peak": rise}), step, steps)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        theirs.step()
    assert rate_share(recipe, 16 * peak, 16) == pytest.approx(1)
    assert rate_share(recipe, 16, 16) == pytest.approx(4e-6)
