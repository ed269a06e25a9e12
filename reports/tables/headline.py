"""The headline table: one row per arm; first those that keep the score, by energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from harness.settings.metric import ACCURACY, Metric
from reports.statistics.statistics import Interval
from reports.tables.table import ARM, ENERGY_KIND, Table, View, uncertainty
from reports.text.scores import Shown
from reports.text.sentence import basis, legend
from reports.text.tuning import tuning_note
from reports.text.units import (
    MISSING,
    PERCENT,
    counted,
    energy_unit,
    mass_unit,
    relative,
    time_unit,
    whole,
)

if TYPE_CHECKING:
    from reports.statistics.summary import ArmSummary, Summary
    from reports.tables.table import Record

_REFERENCE = "reference"
_THE_SAME = Interval(1.0, float("nan"), float("nan"), 0)
SCHEMA = Schema(
    "headline",
    "Methods",
    "a method",
    (
        ARM,
        Column("score", "number", "Test score: mean over seeds.", interval=True),
        Column("metric", "text", "What scores are: `accuracy`, `bits per byte`."),
        Column(
            "score_difference",
            "number",
            "Test score minus the baseline's, paired by seed: of accuracies, 0.01 is one "
            "percentage point.",
            interval=True,
        ),
        Column(
            "verdict",
            "text",
            "Whether the score stays within the margin of the baseline's: `non-inferior`, `worse` "
            "or `inconclusive`; `reference` for the baseline.",
        ),
        Column(
            "verdict_alone", "text", "The verdict if this were the only method that is compared."
        ),
        Column(
            "verdict_difference",
            "number",
            "The difference with the interval that the verdict rests on.",
            interval=True,
        ),
        Column("verdict_confidence", "number", "How sure that interval is, 0 to 1."),
        Column("test_samples", "integer", "Test samples it allows for; 0 for the seeds alone."),
        Column("decided_after", "integer", "Seeds after which a rule stopped; empty without one."),
        Column("margin", "number", "The margin: how much worse a score may be, in its own unit."),
        Column(
            "energy_j", "number", "Energy of the whole recipe: mean over seeds.", "J", interval=True
        ),
        Column("uncertainty_j", "number", "Of measuring one run (95 %): mean over seeds.", "J"),
        Column(
            "energy_with_tuning_j",
            "number",
            "Energy of the whole recipe and of all trials that chose it; empty where nothing was "
            "tuned.",
            "J",
        ),
        ENERGY_KIND,
        Column(
            "energy_ratio",
            "number",
            "Energy over the baseline's: geometric mean, paired by seed.",
            interval=True,
        ),
        Column("co2e_kg", "number", "CO2e of the energy: mean over seeds.", "kg"),
        Column("duration_s", "number", "Time of the whole recipe: mean over seeds.", "s"),
        Column("parameters", "number", "Parameters of the final network."),
        Column("parameters_left", "number", "Those over the dense network's."),
        Column("macs", "number", "Multiply-accumulates of the final network, a sample."),
        Column("macs_left", "number", "Those over the dense network's."),
        Column("density", "number", "Share of the final network's weights that are not masked."),
        Column("n", "integer", "Finished runs."),
        Column("failures", "integer", "Runs that did not finish; they are in no mean."),
    ),
)


def headline(summary: Summary) -> Table:
    """One row per arm, in the summary's order."""
    return Table(
        schema=SCHEMA,
        records=[_record(arm, summary) for arm in summary.arms],
        view=_view(summary),
        legend=_legend(summary),
        arms=[arm.arm for arm in summary.arms],
        failed=frozenset(n for n, arm in enumerate(summary.arms) if not arm.n),
    )


def _record(arm: ArmSummary, summary: Summary) -> Record:
    reference = summary.has_baseline and arm.arm == summary.baseline
    decision = arm.decision
    return {
        "arm": arm.arm,
        "score": arm.score,
        "metric": summary.metric.name,
        "score_difference": arm.difference,
        "verdict": _REFERENCE if reference else arm.verdict,
        "verdict_alone": decision.alone if decision else None,
        "verdict_difference": decision.interval if decision else None,
        "verdict_confidence": decision.interval.confidence if decision else None,
        "test_samples": decision.samples if decision else None,
        "decided_after": decision.decided_after if decision else None,
        "margin": summary.margin,
        "energy_j": arm.energy_j,
        "uncertainty_j": arm.uncertainty_j,
        "energy_with_tuning_j": arm.energy_with_tuning_j,
        "energy_kind": summary.standing.adjective,
        "energy_ratio": _THE_SAME if reference else arm.ratio,
        "co2e_kg": arm.co2e_kg,
        "duration_s": arm.duration_s,
        "parameters": arm.parameters,
        "parameters_left": arm.parameters_left,
        "macs": arm.macs,
        "macs_left": arm.macs_left,
        "density": arm.density,
        "n": arm.n,
        "failures": arm.failures,
    }


def _view(summary: Summary) -> dict[str, View]:
    energy = energy_unit(arm.energy_j.mean for arm in summary.arms)
    mass = mass_unit(arm.co2e_kg for arm in summary.arms)
    time = time_unit(arm.duration_s for arm in summary.arms)
    base = summary.baseline
    kind = "" if summary.standing.measured else f" ({summary.standing.adjective})"
    shown = Shown(summary.metric)
    bases = {arm.arm: basis(arm.decision, shown) for arm in summary.arms if arm.decision}
    counts = {arm.arm: arm.count for arm in summary.arms}
    with_tuning = energy_unit(arm.energy_with_tuning_j for arm in summary.arms)
    tuned = {"energy_with_tuning_j": View(f"Energy with tuning{kind}", with_tuning)}
    return {
        "arm": View("Method"),
        "score": View(shown.header("Test"), shown.unit, shown.figures),
        "score_difference": View(f"Against {base}", shown.difference_unit, shown.changes),
        "verdict": View(
            f"{shown.title} verdict (margin {shown.size(summary.shown_margin)})",
            text=_verdict,
            note=lambda row: bases.get(row["arm"], ""),
        ),
        "energy_j": View(f"Energy{kind}", energy),
        **(tuned if summary.trials else {}),
        "uncertainty_j": uncertainty("Measurement error of one run (95 %)", energy),
        "energy_ratio": View(f"Energy relative to {base}", show=relative, text=_ratio),
        "co2e_kg": View("CO2e", mass),
        "duration_s": View("Time", time),
        "parameters_left": View(
            "Parameters left", PERCENT, whole, note=lambda row: counted(row["parameters"])
        ),
        "macs_left": View("MACs left", PERCENT, whole, note=lambda row: counted(row["macs"])),
        "density": View("Weights not zero", PERCENT, whole),
        "n": View("n", text=lambda row: counts[row["arm"]]),
    }


def _legend(summary: Summary) -> str:
    parts = [
        (
            "Mean over finished runs; below it the 95 % confidence interval across seeds "
            f"(Student-t; {_scales(summary.metric)}, "
            "ratios with the error of the sensors). Differences and ratios are paired by seed."
        ),
        legend(summary),
        ("Sorted by verdict, then by energy. A method’s energy is that of its whole recipe."),
        tuning_note(summary.trials),
    ]
    text = " ".join(filter(None, parts))
    if any(arm.density < 1 for arm in summary.arms):
        text += (
            " Masked weights are zero but still computed: they save no energy and count as left."
        )
    if any(arm.n == 1 for arm in summary.arms):
        text += " With one seed there is no interval."
    return text


def _scales(metric: Metric) -> str:
    """On which scales intervals are symmetric."""
    low, high = math.isfinite(metric.lowest), math.isfinite(metric.highest)
    if low and high:
        scores = "accuracies" if metric.name == ACCURACY.name else "scores"
        return f"{scores} on the logit scale, energies and ratios on the log scale"
    if low or high:
        return "scores, energies and ratios on the log scale"
    return "energies and ratios on the log scale"


def _ratio(record: Record) -> str | None:
    return "1" if record["verdict"] == _REFERENCE else None


def _verdict(record: Record) -> str:
    return record["verdict"] or MISSING
