"""Verdicts: what the images of the test set add, several arms, and seeds added until decided."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.results.final_test import FinalTest, facts_of_test, final_test
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.settings.metric import BITS_PER_BYTE
from harness.study.study import UntilDecided
from harness.utils.jsonl import LogWriter
from reports.statistics.score_difference import score_difference
from reports.statistics.verdicts import decide, false_rate, level_per_look

IMAGES = 10_000
RULE = UntilDecided(min=3, max=10)


def on_test_set(right: np.ndarray, *, recorded: bool = True) -> FinalTest:
    bits = np.packbits(right.astype(bool)).tobytes() if recorded else None
    return FinalTest(float(np.mean(right)), len(right), bits)


def runs(*lost: int, recorded: bool = True, images: int = IMAGES) -> dict[int, FinalTest]:
    """By seed, a test set of which the first `lost` of 100 contested images are wrong."""
    found = {}
    for seed, count in enumerate(lost):
        right = np.ones(images, dtype=bool)
        right[: 50 + count] = False
        found[seed] = on_test_set(right, recorded=recorded)
    return found


def plain(*points: float) -> dict[int, FinalTest]:
    """Accuracies in percent, of which nothing else was recorded."""
    return {seed: FinalTest(value / 100) for seed, value in enumerate(points)}


def test_facts_of_a_test_are_the_accuracy_and_a_bit_a_sample() -> None:
    facts = facts_of_test(np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 1.0]))
    assert (facts["test_score"], facts["test_samples"]) == (0.4, 10)
    assert base64.b64decode(facts["test_correct"]) == bytes([0b11010000, 0b01000000])


def journal_of(folder: RunFolder, **result: Any) -> Journal:
    """A finished run's, scored in bits per byte."""
    log = LogWriter(folder.journal)
    for event in (
        {"event": "attempt", "number": 1, "restored": 0},
        {"event": "metric", **BITS_PER_BYTE.to_json()},
        {"event": "result", **result},
        {"event": "end", "status": "done"},
    ):
        log.append({"time_ns": 1, **event})
    log.close()
    return Journal(folder)


def test_scores_that_are_no_bits_are_recorded_by_sample(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).lognormal(0.5, 0.4, 1000).astype(np.float32)
    found = final_test(journal_of(RunFolder(tmp_path), **facts_of_test(scores)))
    assert found is not None
    assert found.by_sample is not None
    np.testing.assert_array_equal(found.by_sample, scores)
    assert (found.score, found.metric) == (pytest.approx(scores.mean()), BITS_PER_BYTE)


@pytest.mark.parametrize(
    "wrong", [{"test_score": 1.51}, {"test_samples": 3}, {"test_scores": "no base64"}]
)
def test_samples_that_contradict_the_score_are_not_relied_on(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    facts = facts_of_test(np.array([1.0, 2.0], dtype=np.float32))
    found = final_test(journal_of(RunFolder(tmp_path), **facts | wrong))
    assert found is not None
    assert found.by_sample is None


def test_of_very_many_samples_only_the_score_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.results.final_test.MAX_RECORDED", 3)
    assert facts_of_test(np.full(4, 0.5)) == {"test_score": 0.5, "test_samples": 4}
    assert "test_correct" in facts_of_test(np.ones(4))


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("images", [450, 2_000, IMAGES])
def test_the_loss_of_an_image_is_never_rewarded(images: int, recorded: bool) -> None:
    """Equal differences are no less than those with a further image lost."""
    base = runs(0, 0, 0, recorded=recorded, images=images)
    equal = runs(0, 0, 0, recorded=recorded, images=images)
    less = runs(0, 0, 1, recorded=recorded, images=images)
    lows = [score_difference(each, base).interval().low for each in (equal, less)]
    assert lows[0] > lows[1]
    verdicts = [
        decide({"dense": base, "arm": each}, "dense", 0.005)["arm"].verdict
        for each in (equal, less)
    ]
    assert verdicts[0] == "non-inferior" or verdicts == ["inconclusive"] * 2


def test_equal_runs_on_few_images_show_little_and_on_many_much() -> None:
    """With no image in 450 that differs, up to 0.8 % of all may (a binomial's upper bound)."""
    few, many = (
        decide({"dense": runs(0, 0, 0, images=n), "arm": runs(0, 0, 0, images=n)}, "dense", 0.005)
        for n in (450, IMAGES)
    )
    assert few["arm"].verdict == "inconclusive"
    assert few["arm"].interval.high > stats.binom(450, 0).mean() + 0.008
    assert many["arm"].verdict == "non-inferior"


def test_the_interval_by_hand() -> None:
    """Two parts, each with its own t, added as squares."""
    generator = np.random.default_rng(1)
    ours, theirs = (generator.random((3, 500)) < share for share in (0.9, 0.92))
    found = score_difference(
        dict(enumerate(map(on_test_set, ours))), dict(enumerate(map(on_test_set, theirs)))
    )
    d = ours.astype(int) - theirs.astype(int)
    seeds = stats.sem(d.mean(axis=1)) * stats.t.ppf(0.975, 2)
    columns = d.mean(axis=0)
    squares = np.sum((columns - columns.mean()) ** 2) + 4
    images = math.sqrt(squares / 499 / 500) * stats.t.ppf(0.975, 499)
    assert found.mean == pytest.approx(d.mean())
    assert found.interval().half_width == pytest.approx(math.hypot(seeds, images))


def test_the_interval_of_scores_that_are_no_bits_by_hand() -> None:
    generator = np.random.default_rng(2)
    hard = generator.lognormal(0.5, 0.4, 500)
    ours, theirs = (
        (hard + shift + generator.normal(0, 0.05, (3, 500))).astype("<f4") for shift in (0.01, 0.0)
    )
    tested = [
        {
            seed: FinalTest(
                float(scores.mean(dtype=float)), 500, values=scores.tobytes(), metric=BITS_PER_BYTE
            )
            for seed, scores in enumerate(arm)
        }
        for arm in (ours, theirs)
    ]
    found = score_difference(*tested)
    d = ours.astype(float) - theirs.astype(float)
    seeds = stats.sem(d.mean(axis=1)) * stats.t.ppf(0.975, 2)
    samples = stats.sem(d.mean(axis=0)) * stats.t.ppf(0.975, 499)
    assert found.mean == pytest.approx(d.mean())
    assert found.interval().half_width == pytest.approx(math.hypot(seeds, samples))
    alone = [{s: FinalTest(t.score, metric=BITS_PER_BYTE) for s, t in a.items()} for a in tested]
    assert score_difference(*alone).interval().half_width == pytest.approx(seeds)


def test_without_its_images_the_difference_is_the_paired_t_interval() -> None:
    found = score_difference(plain(98.0, 98.5, 98.2), plain(98.4, 98.6, 98.8)).interval()
    expected = stats.ttest_rel([0.98, 0.985, 0.982], [0.984, 0.986, 0.988]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_bits_of_another_test_set_are_not_paired() -> None:
    found = score_difference(runs(0, 0, images=450), runs(0, 0, images=500))
    assert not found.counts_samples
    assert found.samples == 0


@pytest.mark.parametrize("seeds", [3, 10])
def test_a_shared_test_set_errs_no_more_than_it_may(seeds: int) -> None:
    """At the margin, with images that are right by chance in each seed; t over seeds errs more."""
    generator = np.random.default_rng(seeds)
    wrong = {True: 0, False: 0}
    repetitions = 600
    for _ in range(repetitions):
        hard = generator.beta(0.1, 1.9, 400)
        other = np.where(generator.random(400) < 0.5, hard, generator.beta(0.1 + 0.08, 1.9, 400))
        margin = 0.5 * (0.18 / 2.08 - 0.05)
        base, arm = (generator.random((seeds, 400)) >= each for each in (hard, other))
        for recorded in wrong:
            both = [
                {s: on_test_set(right[s], recorded=recorded) for s in range(seeds)}
                for right in (base, arm)
            ]
            found = decide({"dense": both[0], "arm": both[1]}, "dense", margin)
            wrong[recorded] += found["arm"].verdict == "non-inferior"
    assert wrong[True] / repetitions <= 0.04
    assert wrong[False] > wrong[True]


def test_twelve_arms_share_one_chance_of_error() -> None:
    generator = np.random.default_rng(5)
    any_held = any_alone = 0
    for _ in range(400):
        dense = generator.normal(0, 0.2, 3)
        arms = {"dense": plain(*(98 + dense))}
        for arm in range(12):
            arms[f"{arm}"] = plain(*(97.5 + dense + generator.normal(0, 0.2, 3)))
        found = decide(arms, "dense", 0.005).values()
        any_held += any(each.verdict == "non-inferior" for each in found)
        any_alone += any(each.alone == "non-inferior" for each in found)
    assert any_held / 400 <= 0.045
    assert any_alone / 400 > 0.15


def test_holms_steps_agree_with_adjusted_p_values() -> None:
    generator = np.random.default_rng(2)
    checked = set()
    for _ in range(60):
        points = generator.normal(0.2, 0.25, (5, 4))
        arms = {"dense": plain(98, 98, 98, 98)}
        arms |= {f"{n}": plain(*(98 + row)) for n, row in enumerate(points)}
        found = decide(arms, "dense", 0.002)
        p = stats.ttest_1samp(points, -0.2, axis=1, alternative="greater").pvalue
        order = np.argsort(p)
        held = np.maximum.accumulate(p[order] * (5 - np.arange(5)))
        expected = dict(zip(order.tolist(), held <= 0.025, strict=True))
        for n in range(5):
            assert (found[f"{n}"].verdict == "non-inferior") == expected[n]
        checked.add(sum(expected.values()))
    assert len(checked) > 3, "too few different cases"


def test_the_level_per_look_is_that_of_simulated_looks() -> None:
    values = np.random.default_rng(0).standard_normal((200_000, 10))
    smallest = np.ones(len(values))
    for n in range(3, 11):
        p = stats.ttest_1samp(values[:, :n], 0, axis=1, alternative="greater").pvalue
        smallest = np.minimum(smallest, p)
    assert np.mean(smallest < 0.025) == pytest.approx(false_rate(3, 10, 0.025), abs=0.002)
    assert np.quantile(smallest, 0.025) == pytest.approx(level_per_look(3, 10, 0.025), rel=0.04)
    assert np.quantile(smallest, 0.005) == pytest.approx(level_per_look(3, 10, 0.005), rel=0.08)


@pytest.mark.parametrize(("least", "most"), [(2, 3), (3, 4), (2, 30), (5, 60)])
def test_all_looks_together_have_the_level_asked_for(least: int, most: int) -> None:
    level = level_per_look(least, most, 0.025)
    assert 0.025 / (most - least + 1) <= level < 0.025
    assert false_rate(least, most, level) == pytest.approx(0.025, rel=0.01)


def test_a_verdict_by_the_rule_stays_as_it_was_when_decided() -> None:
    """Decided after three seeds; what is added later, for other arms, changes it no more."""
    dense = plain(98.0, 98.1, 97.9, 98.0, 98.2)
    early = {seed: FinalTest(dense[seed].score + 0.0001 * seed) for seed in range(3)}
    late = early | {3: FinalTest(0.2), 4: FinalTest(0.1)}
    for arm in (early, late):
        found = decide({"dense": dense, "arm": arm}, "dense", 0.005, RULE)["arm"]
        assert (found.verdict, found.decided_after) == ("non-inferior", 3)
        assert found.interval.n == 3
        assert found.interval.confidence == pytest.approx(1 - 2 * level_per_look(3, 10, 0.025))


def test_the_rule_is_stricter_at_a_look_than_a_study_of_as_many_seeds() -> None:
    dense, arm = plain(98.0, 98.0, 98.0), plain(97.9, 98.0, 98.1)
    fixed = decide({"dense": dense, "arm": arm}, "dense", 0.005)["arm"]
    by_rule = decide({"dense": dense, "arm": arm}, "dense", 0.005, RULE)["arm"]
    assert (fixed.verdict, by_rule.verdict) == ("non-inferior", "inconclusive")
    assert by_rule.decided_after is None


def test_an_arm_with_a_failed_seed_waits_for_as_many_pairs() -> None:
    dense = plain(*[98.0, 98.05, 97.95, 98.0, 98.02])
    arm = {seed: run for seed, run in dense.items() if seed != 1}
    short = {seed: run for seed, run in arm.items() if seed < 3}
    shifted = {seed: FinalTest(run.score + 1e-5 * seed) for seed, run in arm.items()}
    assert decide({"dense": dense, "arm": short}, "dense", 0.005, RULE)["arm"].interval.n == 2
    found = decide({"dense": dense, "arm": shifted}, "dense", 0.005, RULE)["arm"]
    assert found.decided_after == 3


def test_an_arm_without_a_pair_has_no_verdict_and_hinders_none() -> None:
    arms = {"dense": plain(98, 98.1, 98.2), "arm": plain(98, 98.11, 98.2), "gone": plain()}
    found = decide(arms, "dense", 0.005)
    assert found["gone"].verdict == "inconclusive"
    assert found["gone"].interval.n == 0
    assert (found["arm"].arms, found["arm"].verdict) == (1, "non-inferior")
