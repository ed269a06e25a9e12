"""The mean of many runs' curves, and curves thinned for a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.settings.metric import ACCURACY
from reports.statistics.targets import RunCurve, mean_curve, thinned

if TYPE_CHECKING:
    from collections.abc import Sequence


def curve(energy_j: Sequence[float], accuracy: Sequence[float], shaped: int = 0) -> RunCurve:
    return RunCurve(np.array(energy_j, dtype=float), np.array(accuracy, dtype=float), shaped)


def test_the_mean_curve_matches_seeds_evaluation_by_evaluation() -> None:
    mean = mean_curve(
        {0: curve([10, 20, 30], [0.4, 0.6, 0.8]), 1: curve([12, 24, 36], [0.5] * 3)}, ACCURACY
    )
    assert mean["energy_j"].tolist() == [11, 22, 33]
    assert mean["val_score"].tolist() == pytest.approx([0.45, 0.55, 0.65])
    # 12.706 × 0.05 is half the interval of two values 0.1 apart; on the logit scale it is
    # 1 / (0.45 × 0.55) times as wide.
    logit = np.log(0.45 / 0.55) + 12.7062 * 0.05 / (0.45 * 0.55)
    assert mean["val_score_high"][0] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-4)
    assert mean["n"].tolist() == [2, 2, 2]
    assert mean["final_shape"].all()


def test_a_drop_that_every_seed_shows_is_not_smeared_by_their_energies() -> None:
    runs = {
        seed: curve(np.array([10, 20, 30]) * (1.0 + seed), [0.9, 0.2, 0.9], shaped=1)
        for seed in range(3)
    }
    assert mean_curve(runs, ACCURACY)["val_score"].tolist() == pytest.approx([0.9, 0.2, 0.9])


def test_a_mean_never_mixes_networks_from_before_and_after_the_last_pruning() -> None:
    # Searches of two and of three epochs; the network loses half of its accuracy in between.
    runs = {
        0: curve([1, 2, 3, 4], [0.8, 0.9, 0.4, 0.7], shaped=2),
        1: curve([1, 2, 3, 4, 5], [0.8, 0.9, 0.95, 0.4, 0.7], shaped=3),
    }
    mean = mean_curve(runs, ACCURACY)
    assert mean["val_score"].tolist() == pytest.approx([0.8, 0.9, 0.4, 0.7])
    assert mean["energy_j"].tolist() == [1, 2, 3.5, 4.5]
    assert mean["final_shape"].tolist() == [False, False, True, True]


def test_one_seed_has_a_mean_and_no_band() -> None:
    mean = mean_curve({4: curve([1, 2], [0.1, 0.2])}, ACCURACY)
    assert mean["val_score"].tolist() == [0.1, 0.2]
    assert mean["val_score_low"].isna().all()


@given(st.integers(1, 300), st.integers(4, 60), st.integers(0, 10))
def test_thinning_keeps_ends_and_extremes(length: int, count: int, seed: int) -> None:
    array = np.random.default_rng(seed).random(length)
    kept = thinned(array, count)
    assert len(kept) <= count
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert (kept[0], kept[-1]) == (0, len(array) - 1)
    assert array[kept].max() == array.max()
    assert array[kept].min() == array.min()
    if len(array) <= count:
        assert len(kept) == len(array)
