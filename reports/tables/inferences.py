"""What an inference of each method's networks draws, and how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.results.column import Column, Schema
from harness.results.energy_source import EnergyKinds
from reports.statistics.lifetime import measured_inferences, numbers
from reports.statistics.statistics import energy_interval, paired_ratio
from reports.tables.table import ARM, ENERGY_KIND, Table, View, decimals
from reports.text.units import Unit, call_time_unit, relative, sample_energy_unit

if TYPE_CHECKING:
    from reports.data import StudyResults
    from reports.statistics.lifetime import Inferences
    from reports.tables.table import Record

SCHEMA = Schema(
    "inferences",
    "What an inference costs",
    "a finished method whose networks the command `inference` measured",
    (
        ARM,
        Column("inference_j", "number", "Energy of a sample.", "J", interval=True),
        Column(
            "inference_ratio",
            "number",
            "That over the baseline's, paired by seed; empty where the two were measured in "
            "different ways.",
            interval=True,
        ),
        Column("latency_s", "number", "Median time of a call.", "s", interval=True),
        Column("latency_p99_s", "number", "99 % of the calls took no longer.", "s", interval=True),
        Column("inference_basis", "text", "Runtime, device, threads, samples of a call and host."),
        ENERGY_KIND,
        Column("n", "integer", "Networks that were measured, a seed each."),
    ),
)


def inferences(results: StudyResults) -> Table | None:
    """One row per arm whose inferences were measured, the baseline's too; None without any."""
    found = {arm: measured_inferences(results, arm) for arm in results.finished_arms}
    found = {arm: each for arm, each in found.items() if each.measured}
    if not found:
        return None
    base = results.baseline_arm
    records = [_record(results, arm, each, found.get(str(base))) for arm, each in found.items()]
    kinds = EnergyKinds.union(each.kinds for each in found.values())
    energy = sample_energy_unit(record["inference_j"].mean for record in records)
    if not kinds.measured:
        energy = Unit(f"{kinds.adjective}, {energy.symbol}", energy.size)
    latency = call_time_unit(record["latency_p99_s"].mean for record in records)
    view = {"arm": View("Method"), "inference_j": View("Energy of a sample", energy)}
    if base in found and len(found) > 1:
        view["inference_ratio"] = View(f"The same relative to {base}", show=relative)
    view |= {
        "latency_s": View("Latency of a call, median", latency),
        "latency_p99_s": View("Latency of a call, 99th percentile", latency),
        "inference_basis": View("Measured with"),
        "n": View("n", show=decimals(0)),
    }
    return Table(
        schema=SCHEMA,
        records=records,
        view=view,
        legend=_LEGEND,
        arms=list(found),
    )


_LEGEND = (
    "As the command inference measured them last, at the smallest batch that it was asked for. "
    "Means over networks; below them 95 % intervals across seeds (Student-t on the log scale). "
    "Networks that were measured in two ways are not compared."
)


def _record(results: StudyResults, arm: str, ours: Inferences, base: Inferences | None) -> Record:
    alike = base is not None and len(ours.how) == 1 and ours.how == base.how
    return {
        "arm": arm,
        "inference_j": energy_interval(ours.energy_j.values()),
        "inference_ratio": (
            paired_ratio(ours.energy_j, base.energy_j)
            if base is not None and alike and arm != results.baseline_arm
            else None
        ),
        "latency_s": energy_interval(numbers(results, arm, "latency_s").values()),
        "latency_p99_s": energy_interval(numbers(results, arm, "latency_p99_s").values()),
        "inference_basis": "; ".join(ours.how),
        "energy_kind": ours.kinds.adjective,
        "n": len(ours.energy_j),
    }
