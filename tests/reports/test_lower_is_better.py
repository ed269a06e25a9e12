"""A study in bits per byte: the mirror image of one in per cent, in its own words.

The scores of `synthetic.make` under both metrics are as many margins from dense's, the other way
round. So every verdict, front, crossing and claim must be the same, and every difference mirrored:
a statistic that took the wrong side for better would show.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from rich.console import Console

from harness.results.final_test import FinalTest
from harness.settings.metric import ACCURACY, BITS_PER_BYTE, Metric
from harness.study.study import UntilDecided
from reports.data import AskedClaim
from reports.figures import performance_profile
from reports.figures.gallery import FIGURES
from reports.html.page import build
from reports.plotting.score_energy_axes import Point, is_sure
from reports.statistics.break_even import break_even
from reports.statistics.frontier import frontiers
from reports.statistics.statistics import Interval, score_interval, t_interval
from reports.statistics.summary import summarise
from reports.statistics.targets import energy_to_targets, joules_to, reference_score
from reports.statistics.threshold import Threshold
from reports.statistics.threshold_check import check
from reports.statistics.verdicts import decide, open_arms
from reports.tables.claims import judge
from reports.tables.headline import headline
from reports.tables.terminal import terminal_table
from reports.text.sentence import sentence
from tests.reports.compared import BEFORE, result_set
from tests.reports.readable_figure import assert_readable, texts
from tests.reports.synthetic import make, score
from tests.reports.test_report_figures import whole

if TYPE_CHECKING:
    from pathlib import Path

    from reports.data import StudyResults

SWEEP = {
    "dense": "dense",
    "early_bird": "early_bird",
    **{f"progressive prune_ratio=0.{n}": "progressive" for n in (1, 3, 5)},
    "dense_short share=0.5": "dense_short",
}
CLAIMS = (
    AskedClaim("as good", "A. Author, 2020", "early_bird", "dense", 0.6, -0.5),
    AskedClaim("better", "A. Author, 2020", "progressive prune_ratio=0.1", "dense", None, 0.3),
    AskedClaim("little worse", "A. Author, 2020", "dense_short share=0.5", "dense", None, -1.0),
)
PER_POINT = -BITS_PER_BYTE.margin / ACCURACY.margin
"""What a percentage point is in the mirrored study."""


@cache
def study(metric: Metric) -> StudyResults:
    """All that a report shows; levels of a method are ever worse, and one arm is far better."""
    made = make(SWEEP, metric=metric, spread=0.3)
    for arm, margins in zip(SWEEP, (0, 0.5, 1.5, 0.0, -2, -3), strict=True):
        rows = made.runs["arm"] == arm
        made.runs.loc[rows, "test_score"] += metric.sign * metric.margin / metric.factor * margins
    factor = 1 if metric == ACCURACY else PER_POINT
    bounds = ((c.difference_bound, c) for c in CLAIMS)
    claims = tuple(
        replace(c, difference_bound=None if bound is None else bound * factor)
        for bound, c in bounds
    )
    return replace(whole(made), claims=claims)


def mirrored(found: Interval) -> tuple[float, float, float]:
    """The ends of a difference in points as they are in the mirrored study."""
    return found.mean * PER_POINT, found.high * PER_POINT, found.low * PER_POINT


def ends(found: Interval) -> tuple[float, float, float]:
    return found.mean, found.low, found.high


def test_verdicts_are_the_same_and_differences_mirrored() -> None:
    ours, theirs = (summarise(study(metric)) for metric in (BITS_PER_BYTE, ACCURACY))
    assert [arm.arm for arm in ours.arms] == [arm.arm for arm in theirs.arms]
    assert {arm.verdict for arm in theirs.challengers} >= {"non-inferior", "worse"}
    for our, their in zip(ours.challengers, theirs.challengers, strict=True):
        assert our.verdict == their.verdict
        assert our.difference is not None
        assert their.difference is not None
        assert ends(our.difference.scaled(1)) == pytest.approx(
            mirrored(their.difference.scaled(100)), nan_ok=True
        )


def test_the_rule_that_adds_seeds_takes_the_same_arms_for_open() -> None:
    rule, margin = UntilDecided(min=3, max=6), {BITS_PER_BYTE: 0.02, ACCURACY: 0.005}
    found = {}
    for metric in (BITS_PER_BYTE, ACCURACY):
        tests = {
            arm: {
                seed: FinalTest(float(score(value, metric)), metric=metric)
                for seed, value in enumerate(values)
            }
            for arm, values in {
                "dense": [0.980, 0.981, 0.979],
                "better": [0.990, 0.9911, 0.9892],
                "worse": [0.960, 0.9612, 0.9591],
                "open": [0.970, 0.985, 0.979],
            }.items()
        }
        found[metric] = open_arms(tests, "dense", margin[metric], rule)
        verdicts = decide(tests, "dense", margin[metric])
        assert (verdicts["better"].verdict, verdicts["worse"].verdict) == ("non-inferior", "worse")
    assert found[BITS_PER_BYTE] == found[ACCURACY] == {"open"}


def test_frontiers_and_their_crossings_are_the_same() -> None:
    ours, theirs = (frontiers(study(metric)) for metric in (BITS_PER_BYTE, ACCURACY))
    assert [each.front for each in ours] == [each.front for each in theirs]
    assert any(len(each.front) > 1 for each in theirs)
    assert "reached" in {each.energy.status for each in theirs if len(each.front) > 1}
    for our, their in zip(ours, theirs, strict=True):
        assert (our.energy.status, our.energy.between) == (
            their.energy.status,
            their.energy.between,
        )
        assert ends(our.energy.value) == pytest.approx(ends(their.energy.value), nan_ok=True)
        assert our.difference.status == their.difference.status
        assert ends(our.difference.value) == pytest.approx(
            mirrored(their.difference.value), nan_ok=True
        )
        assert ends(our.best) == pytest.approx(mirrored(their.best), nan_ok=True)


def test_claims_are_judged_the_same() -> None:
    ours, theirs = (judge(study(metric)) for metric in (BITS_PER_BYTE, ACCURACY))
    assert [each.verdict for each in ours] == [each.verdict for each in theirs]
    assert {each.verdict for each in theirs} >= {"supported", "not supported"}


def test_a_search_is_credited_the_same() -> None:
    ours, theirs = (break_even(study(metric)) for metric in (BITS_PER_BYTE, ACCURACY))
    verdicts = [[each.trainings and each.trainings.verdict for each in f] for f in (ours, theirs)]
    assert verdicts[0] == verdicts[1]
    assert {"after", "not credited"} <= set(verdicts[0])


def test_a_target_is_reached_from_above() -> None:
    energy_j, bits = np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.9, 1.7])
    assert joules_to(energy_j, bits, 1.9, sign=-1) == 2.0
    assert joules_to(energy_j, bits, 1.8, sign=-1) == 3.0
    assert math.isnan(joules_to(energy_j, bits, 1.6, sign=-1))
    results = study(BITS_PER_BYTE)
    found = [each for each in energy_to_targets(results) if each.arm == "dense"]
    assert [each.share for each in found] == [1.1, 1.05, 1.01]
    assert found[0].energy_j.mean < found[1].energy_j.mean
    curve = results.curves[results.curves["arm"] == "dense"]
    for each in found[:2]:
        below = curve[curve["val_score"] <= each.share * reference_score(results)]
        first = below.groupby("seed")["energy_j"].min()
        assert each.energy_j.mean == pytest.approx(first.mean())


def test_scores_without_a_zero_have_no_targets() -> None:
    likelihood = replace(BITS_PER_BYTE, name="log likelihood", lowest=-math.inf)
    assert energy_to_targets(make(metric=likelihood)) == []


def test_the_front_of_the_figure_is_the_same() -> None:
    frames = [FIGURES["score_energy"](study(m)) for m in (BITS_PER_BYTE, ACCURACY)]
    fronts = [each.frame.set_index("arm")["on_front"].dropna() for each in frames if each]
    assert fronts[0].to_dict() == fronts[1].to_dict()
    assert 0 < fronts[0].sum() < len(fronts[0])


def test_an_arm_is_surely_on_the_front_if_no_other_may_be_lower() -> None:
    def point(arm: str, energy_j: float, bits: float) -> Point:
        return Point(arm, Interval(energy_j, energy_j, energy_j, 3), Interval(bits, bits, bits, 3))

    cheap, good = point("cheap", 1.0, 2.0), point("good", 2.0, 1.8)
    worst = point("worst", 3.0, 2.2)
    every = (cheap, good, worst)
    assert [is_sure(each, every, -1) for each in every] == [True, True, False]
    assert [is_sure(each, every, 1) for each in every] == [True, False, True]


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [("score:+0.02", "exceeded"), ("score:+0.1", "kept"), ("score:-0.1", "exceeded")],
)
def test_a_threshold_limits_a_rise(limit: str, outcome: str) -> None:
    first = replace(result_set("A", {"dense": BEFORE}, {"dense": [1.80, 1.81, 1.79]}))
    second = result_set("B", {"dense": BEFORE}, {"dense": [1.85, 1.87, 1.84]})
    from reports.statistics.comparison import compare
    from reports.tables.comparison import as_object, comparison_table
    from reports.text.comparison import gate_sentence

    sides = (replace(side, metric=BITS_PER_BYTE) for side in (first, second))
    found = compare(*sides)
    [checked] = check(found, Threshold.parse(limit))
    assert checked.outcome == outcome
    assert "accuracy" not in gate_sentence(checked)
    assert re.search(r"\+0\.053\d? bits per byte", gate_sentence(checked))
    table = comparison_table(found)
    assert table.header[1] == "Bits per byte (lower is better)"
    assert table.rows[0][1].text == "+0.0533"
    assert "accuracy" not in table.legend
    assert as_object(found, [checked])["arms"][0]["score"]["change_unit"] == "bits per byte"


WORDS = re.compile(r"accurac|points|\bnan\b", re.IGNORECASE)


def test_nothing_on_the_page_or_in_its_files_speaks_of_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.html.page.FIGURES", {})  # which have a test of their own
    text = build([study(BITS_PER_BYTE)], tmp_path).read_text("utf-8")
    shown = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not set(WORDS.findall(shown))
    assert "<title>digits: energy and bits per byte</title>" in text
    for path in tmp_path.rglob("*.*"):
        if path.suffix in (".md", ".tex", ".json"):
            assert not WORDS.search(path.read_text("utf-8")), path
        elif path.suffix == ".csv":
            assert "accurac" not in path.read_text("utf-8").lower(), path


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_name_the_metric_and_can_be_read(name: str) -> None:
    figured = FIGURES[name](study(BITS_PER_BYTE))
    assert figured is not None
    labels = [each.get_text() for each in texts(figured.figure)]
    labels += [*figured.marks.tips.values(), figured.caption, figured.brief, figured.alt]
    assert not [text for text in labels if re.search("accurac| points", text, re.IGNORECASE)]
    assert_readable(figured.figure)
    of_score = {"score_energy", "score_curves", "matched_score", "paired_differences"}
    of_score |= {"tuning_sensitivity"}
    assert any("lower is better" in text.replace("\n", " ") for text in labels) == (
        name in of_score
    )


def test_the_terminal_and_the_sentence_name_it() -> None:
    summary = summarise(study(BITS_PER_BYTE))
    for width in (60, 120):
        console = Console(width=width, record=True, file=StringIO())
        console.print(terminal_table(summary))
        text = console.export_text()
        assert "bits per byte" in text
        assert not re.search("acc|points", text)
    output = sentence(summary)
    assert not re.search("accurac|points", output)
    assert re.search(r"keeps dense's bits per byte within 0\.02", output)
    assert re.search(r"reached 1\.\d{3} bits per byte \(dense [+−] 0\.\d{3} bits per byte", output)
    rows = headline(summary)
    assert rows.header[1] == "Test bits per byte (lower is better)"
    assert "below +0.02 bits per byte" in rows.legend


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_of_scores_stays_within_its_bounds(sign: int) -> None:
    values = [0.02, 0.5, 0.1] if sign > 0 else [-0.02, -0.5, -0.1]
    plain = t_interval(values)
    bounds = {"lowest": 0.0} if sign > 0 else {"highest": 0.0}
    found = score_interval(values, Metric("one", **bounds))  # type: ignore[arg-type]
    assert found.mean == pytest.approx(plain.mean)
    near, beyond = (found.low, plain.low) if sign > 0 else (-found.high, -plain.high)
    assert near > 0 > beyond
    assert ends(score_interval(values, Metric("none"))) == ends(plain)


def test_one_of_a_range_is_a_share_of_it() -> None:
    values = [-0.2, 0.4, 0.9]
    shares = score_interval([(value + 1) / 2 for value in values], ACCURACY)
    found = score_interval(values, Metric("correlation", lowest=-1.0, highest=1.0))
    assert ends(found) == pytest.approx([2 * end - 1 for end in ends(shares)])


def test_a_profile_over_both_speaks_of_scores() -> None:
    studies = [replace(study(m), study=f"{n}") for n in range(2) for m in (BITS_PER_BYTE, ACCURACY)]
    figured = performance_profile.draw(studies)
    assert figured is not None
    assert "test score is shown to be non-inferior" in figured.caption
    assert "within 0.02 bits per byte and 0.5 points" in figured.caption
    alone = performance_profile.draw(
        [replace(study(BITS_PER_BYTE), study=f"{n}") for n in range(4)]
    )
    assert alone is not None
    assert "accuracy" not in alone.caption + alone.brief + alone.alt


def test_the_accepted_loss_is_drawn_above_the_baseline() -> None:
    results = study(BITS_PER_BYTE)
    base = np.mean(list(results.by_seed("dense", "test_score").values()))
    for name, ends in (("score_energy", (base, base + 0.02)), ("paired_differences", (0, 0.02))):
        figured = FIGURES[name](results)
        assert figured is not None
        [band] = [each for each in figured.figure.axes[0].patches if isinstance(each, Rectangle)]
        low, high = (
            band.get_bbox().intervaly if name == "score_energy" else band.get_bbox().intervalx
        )
        assert (low, high) == pytest.approx(ends)


def test_better_is_lower_in_the_sentence() -> None:
    made = make(["dense", "early_bird"], metric=BITS_PER_BYTE, spread=0.3)
    made.runs.loc[made.runs["arm"] == "early_bird", "test_score"] -= 0.1
    assert sentence(summarise(made)).startswith("early_bird is better than dense")
