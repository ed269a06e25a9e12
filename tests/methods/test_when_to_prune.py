"""The early pruning indicator beside one written with numpy, over histories of random widths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness import Budget, ChannelMask, Inspect, Record, Shrink, Train
from harness.method.dry_run import planned_phases
from harness.method.phases import Phase
from methods.when_to_prune import WhenToPrune, indicator, similarity
from tests.methods.played import epochs_of, kinds, played

LAYERS = 4
SIZE = 32


def histories(seed: int, settling: float) -> np.ndarray:
    """Widths of layers by epoch that move less and less, shape (epochs, layers)."""
    draw = np.random.default_rng(seed)
    moves = draw.normal(size=(20, LAYERS)) * 9 * settling ** np.arange(20)[:, None]
    return np.clip(np.round(16 + moves), 0, SIZE).astype(int)


def written_out(widths: np.ndarray, window: int, least: float, longest: int) -> int | None:
    """The epoch, from 1, after which the paper's policy prunes; all of it on arrays."""
    values: list[float] = []
    for t in range(longest):
        if t < window:
            continue
        now, past = widths[t][None, :], widths[t - window : t]
        total = now + past
        distance = np.divide(np.abs(now - past), total, where=total > 0, out=np.zeros(past.shape))
        values.append(float((1 - distance.mean(axis=1)).mean()))
        if values[-1] >= least and all(values[-1] >= value for value in values[-6:-1]):
            return t + 1
    return None


def mask_of(widths: np.ndarray) -> ChannelMask:
    return ChannelMask({str(i): "1" * w + "0" * (SIZE - w) for i, w in enumerate(widths.tolist())})


@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("least", [0.9, 0.944, 0.983])
@pytest.mark.parametrize("settling", [1.0, 0.8, 0.6])
@pytest.mark.parametrize("seed", range(10))
def test_it_prunes_when_the_policy_written_out_does(
    window: int, least: float, settling: float, seed: int
) -> None:
    widths = histories(seed, settling)
    looks = iter(widths)

    def answer(phase: Phase) -> Any:
        return mask_of(next(looks)) if isinstance(phase, Inspect) else None

    method = WhenToPrune(window=window, threshold=least, search_epochs=12)
    phases = played(method, Budget(20), answer)
    expected = written_out(widths, window, least, longest=12)
    [record] = [phase for phase in phases if isinstance(phase, Record)]
    assert record.facts["ticket_emerged"] == (expected is not None)
    assert record.facts["ticket_epoch"] == (expected or 12)
    assert kinds(phases)[-4:] == ["Record", "Inspect", "Shrink", "Train"]
    assert epochs_of(phases) == 20


def test_the_histories_lead_to_both_ends() -> None:
    found = [written_out(histories(s, k), 3, 0.944, 12) for s in range(10) for k in (1.0, 0.8, 0.6)]
    assert None in found
    assert len(set(found)) > 3, "at several epochs"


def test_similarity_is_about_widths_and_not_about_which_channels() -> None:
    ones, others = ({"a": 10, "b": 0}, {"a": 30, "b": 0})
    assert similarity(ones, ones) == 1.0
    assert similarity(ones, others) == similarity(others, ones) == pytest.approx(1 - 0.5 / 2)
    assert indicator(ones, [ones, others]) == pytest.approx((1 + 0.75) / 2)


@pytest.mark.parametrize(("score", "least"), [("magnitude", 0.983), ("taylor", 0.944)])
@pytest.mark.parametrize(("shift", "emerges"), [(0.004, True), (-0.004, False)])
def test_the_thresholds_are_the_papers(
    score: Any, least: float, shift: float, emerges: bool
) -> None:
    """A width that jumps once, so that the indicator is a little above or below the threshold."""
    distance = 1 - (least + shift)
    narrow, wide = 10_000, round(10_000 * (1 + distance) / (1 - distance))
    looks = iter([narrow, wide, *[narrow] * 9])

    def answer(phase: Phase) -> Any:
        if not isinstance(phase, Inspect):
            return None
        assert phase.question.score == score
        assert phase.samples == (128 if score == "taylor" else 1)
        return ChannelMask({"a": "1" * next(looks)})

    method = WhenToPrune(score=score, window=1, search_epochs=2)
    [record] = [p for p in played(method, Budget(20), answer) if isinstance(p, Record)]
    assert record.facts["ticket_emerged"] == emerges
    assert record.facts["indicator"] == pytest.approx(least + shift, abs=1e-4)


def test_a_plan_foresees_the_shortest_and_the_longest_search() -> None:
    def search(settles: bool) -> int:
        phases = planned_phases(WhenToPrune(), Budget(20), settles=settles)
        return sum(p.epochs for p in phases if isinstance(p, Train) and p.name == "search")

    assert (search(True), search(False)) == (6, 10)
    assert any(isinstance(p, Shrink) for p in planned_phases(WhenToPrune(), Budget(20)))
