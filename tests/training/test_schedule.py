"""Learning rates at known places of known schedules."""

from __future__ import annotations

import math

import pytest

from harness.settings import Training
from harness.training.schedule import rate_share


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
