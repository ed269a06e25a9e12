"""Where each recipe ends: test accuracy against the energy of all of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from reports.analysis.families import families, family_of
from reports.analysis.pareto import pareto_front
from reports.analysis.standing import standing_of
from reports.analysis.statistics import energy_interval, share_interval
from reports.drawing import style
from reports.drawing.plane import Dot, Plane, Point
from reports.drawing.scatter import CROWD, Scatter, margin_text
from reports.figures.figured import Figured
from reports.wording import captions
from reports.wording.units import energy, fixed

if TYPE_CHECKING:
    from reports.data import StudyResults

NAME = "accuracy_energy"


def draw(results: StudyResults) -> Figured | None:
    """Every finished run faint, each arm's mean with its intervals, and the front of the means."""
    runs = results.finished
    dots = [
        Dot(str(arm), int(seed), float(joules), float(accuracy))
        for arm, seed, joules, accuracy in zip(
            runs["arm"], runs["seed"], runs["energy_j"], runs["test_accuracy"], strict=True
        )
        if math.isfinite(joules) and math.isfinite(accuracy)
    ]
    points = [
        Point(
            arm,
            energy_interval(results.by_seed(arm, "energy_j").values()),
            share_interval(results.by_seed(arm, "test_accuracy").values()),
        )
        for arm in results.finished_arms
    ]
    points = [point for point in points if point.energy.n and point.accuracy.n]
    if not points:
        return None
    front = pareto_front({point.arm: point.place for point in points})
    with style.printed():
        plot = Scatter(results, dots, points, front)
    return Figured(
        plot.figure,
        _frame(results, points, front),
        _caption(results, points, plot.plane),
        _alt(results, points, front),
        plot.marks,
        brief=_brief(results, points),
        basis=captions.basis(results),
    )


def _caption(results: StudyResults, points: list[Point], plane: Plane) -> str:
    text = (
        "Test accuracy against the energy of the whole recipe, search, evaluation and lost "
        "attempts included. Large marks are means, small ones single runs."
    )
    parts = [text]
    if len(points) > 1:
        parts.append(
            "Line: best mean accuracy for the energy (the Pareto front); dashed where overlapping "
            "intervals make membership uncertain."
        )
    if any(family.levels for family in families(point.arm for point in points)):
        parts.append(
            "Arms that differ only in the share they prune are joined and bear that share."
        )
    if any(point.arm == results.baseline_arm for point in points):
        parts.append(
            f"Shaded: {margin_text(results)}, from its mean down; whether an arm is non-inferior "
            "is judged by paired intervals, not by this band."
        )
    if plane.is_cut:
        parts.append("An interval of energy that reaches the right edge extends beyond it.")
    if plane.log:
        parts.append("The energy axis is logarithmic.")
    parts.append("The accuracy axis does not start at zero.")
    return " ".join(parts)


def _brief(results: StudyResults, points: list[Point]) -> str:
    text = (
        "Test accuracy against the energy of the whole recipe. Large marks: means with 95 % "
        "intervals; small: single runs"
    )
    if len(points) > 1:
        text += "; line: best mean accuracy for the energy"
    return f"{text}. {captions.short_basis(results)}"


def _alt(results: StudyResults, points: list[Point], front: list[str]) -> str:
    text = f"Scatter of test accuracy against {standing_of(results.finished).adjective} energy. "
    told = [p for p in points if len(points) < CROWD or p.arm in {*front, results.baseline_arm}]
    text += " ".join(
        f"{p.arm}: {fixed(p.accuracy.mean * 100, 1)} % at {energy(p.energy.mean)}." for p in told
    )
    return f"{text} On the Pareto front: {', '.join(front)}." if len(points) > 1 else text


def _frame(results: StudyResults, points: list[Point], front: list[str]) -> pd.DataFrame:
    """One row a finished run, then one row an arm with its means and intervals."""
    runs = results.finished[["arm", "seed", "energy_j", "test_accuracy"]].assign(kind="run")
    means = [
        {
            "kind": "mean",
            "arm": point.arm,
            "level": family_of(point.arm)[1],
            "energy_j": point.energy.mean,
            "energy_j_low": point.energy.low,
            "energy_j_high": point.energy.high,
            "energy_j_n": point.energy.n,
            "test_accuracy": point.accuracy.mean,
            "test_accuracy_low": point.accuracy.low,
            "test_accuracy_high": point.accuracy.high,
            "test_accuracy_n": point.accuracy.n,
            "on_front": point.arm in front,
        }
        for point in points
    ]
    columns = "kind arm level seed energy_j energy_j_low energy_j_high energy_j_n test_accuracy "
    columns += "test_accuracy_low test_accuracy_high test_accuracy_n on_front"
    frame = pd.DataFrame([*runs.to_dict("records"), *means], columns=columns.split())
    counts = dict.fromkeys(("seed", "energy_j_n", "test_accuracy_n"), "Int64")
    return frame.astype({**counts, "on_front": "boolean"})
