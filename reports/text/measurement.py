"""How a study's figures were measured, for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reports.statistics.energy_kind import standing_of
from reports.text.captions import words
from reports.text.units import energy, fixed, mass_unit, percent
from reports.text.waiting import waiting

if TYPE_CHECKING:
    from reports.data import StudyResults

_BASIS = "carbon_basis_"
"""How the columns of further places begin."""


def banner(results: StudyResults) -> str:
    """What a reader must know before any energy figure; empty if all were measured."""
    standing = standing_of(results.telling)
    if standing.measured or not standing.kinds:
        return ""
    if standing.simulated:
        text = "comes from a stand-in device: it shows that the software works, and nothing else"
    else:
        text = (
            "comes from a model of the device, not from a sensor; ratios between methods on one "
            "machine are more reliable than the joules themselves"
        )
    return f"Energy here is {standing.adjective}. It {text}."


def _uncertainty(runs: pd.DataFrame) -> str:
    """The parts of a run's uncertainty as shares of its energy: the largest of each part."""
    names = {"gain_j": "sensor", "border_j": "borders", "gap_j": "gaps", "aliasing_j": "aliasing"}
    drawn = pd.to_numeric(runs["energy_j"])
    shares = {
        name: (pd.to_numeric(runs[column]) / drawn).max() * 100
        for column, name in names.items()
        if column in runs
    }
    parts = [f"{name} {fixed(float(share), 2)} %" for name, share in shares.items() if share > 0]
    return ", ".join(parts)


def _numbers(runs: pd.DataFrame, column: str) -> pd.Series:
    """A column's known values; none where an older table lacks it."""
    return pd.to_numeric(runs.get(column, pd.Series(dtype=float))).dropna()


def _busy(runs: pd.DataFrame) -> str:
    """The share of its training in which each arm's GPU was busy; empty if not recorded."""
    known = runs.assign(share=_numbers(runs, "gpu_busy")).dropna(subset=["share"])
    means = known.groupby("arm", sort=False)["share"].mean()
    return ", ".join(f"{arm} {fixed(float(mean) * 100, 0)} %" for arm, mean in means.items())


def facts(results: StudyResults) -> list[tuple[str, str]]:
    """Name and value of each fact about how the energy was measured."""
    runs = results.telling
    listed = [
        ("Energy source", "energy_source"),
        ("Scope", "energy_scope"),
        ("Measured device", "energy_device"),
        ("Assumptions", "energy_note"),
        ("Computing device", "device"),
        ("Host", "host"),
        ("Carbon", "carbon_basis"),
    ]
    places = [str(name)[len(_BASIS) :] for name in runs.columns if str(name).startswith(_BASIS)]
    listed += [(f"Carbon at {place}", _BASIS + place) for place in places]
    found = [(name, "; ".join(words(runs[column]))) for name, column in listed]
    if places:
        found.append(("CO2e of these runs", _co2e_by_place(runs, places)))
    found.append(("Waiting", waiting(results)))
    coverage = pd.to_numeric(runs["coverage"]).dropna()
    if len(coverage):
        ends = dict.fromkeys(fixed(float(c) * 100, 1) for c in (coverage.min(), coverage.max()))
        found.append(("Time observed", f"{' to '.join(ends)} % of a run"))
    found.append(("Uncertainty of a run's energy (95 %), at most", _uncertainty(runs)))
    idle = _numbers(runs, "idle_energy_j")
    if len(idle):
        text = f"{energy(float(idle.mean()))} per run on average, included above"
        found.append(("Idle power × duration of the run", text))
    apart = _numbers(runs, "power_disagreement")
    if len(apart):
        ends = dict.fromkeys(f"{float(a) * 100:+.1f}" for a in (apart.min(), apart.max()))
        found.append(("Integrated power against the counter", f"{' to '.join(ends)} %"))
    found.append(("Energy of the machine that no measured part has", _missed(runs)))
    found.append(("GPU busy while training", _busy(runs)))
    lost = pd.to_numeric(results.finished["lost_j"]).sum()
    found.append(("Energy lost to interruptions (included above)", energy(float(lost))))
    unfinished = results.runs[results.runs["status"] != "done"]
    if len(unfinished):
        drawn = energy(float(pd.to_numeric(unfinished["energy_j"]).sum()))
        found.append(("Energy of runs that did not finish (in no mean)", drawn))
    started = sorted(words(runs["started_at"]))
    if started:
        span = started[0] if started[0] == started[-1] else f"{started[0]} to {started[-1]}"
        found.append(("Runs started", span))
    return [(name, value) for name, value in found if value]


def _missed(runs: pd.DataFrame) -> str:
    """The share that power supply, fans and disks took; empty unless the whole was measured."""
    shares = _numbers(runs, "missed_share")
    if shares.empty:
        return ""
    # Gains are the same in every run: a mean over runs is as uncertain as each.
    error = percent(float(_numbers(runs, "missed_share_uncertainty").max()))
    text = f"{percent(float(shares.mean()))} ± {error} % (power supply, fans, disks, boards)"
    return text + (f", in {len(shares)} of {len(runs)} runs" if len(shares) < len(runs) else "")


def _co2e_by_place(runs: pd.DataFrame, places: list[str]) -> str:
    """The sum over the runs, where they ran and where else the study asks for."""
    columns = {"here": "co2e_kg"} | {place: f"co2e_kg_{place}" for place in places}
    sums = {name: float(pd.to_numeric(runs[column]).sum()) for name, column in columns.items()}
    unit = mass_unit(sums.values())
    return ", ".join(f"{name} {unit.show(kg)} {unit.symbol}" for name, kg in sums.items())
