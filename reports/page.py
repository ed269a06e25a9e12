"""The page of a study: one HTML file that opens offline, and the files it links to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from reports import measurement, style, tables
from reports.figures import accuracy_curves, accuracy_energy, energy_phases
from reports.inline_svg import inline
from reports.sentence import sentence
from reports.summary import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from markupsafe import Markup

    from reports.data import StudyResults
    from reports.figures.figured import Figured

FIGURES: dict[str, Callable[[StudyResults], Figured]] = {
    module.NAME: module.draw for module in (accuracy_energy, accuracy_curves, energy_phases)
}


@dataclass(frozen=True)
class Plate:
    """A figure as it stands on the page."""

    name: str
    svg: Markup
    caption: str
    alt: str


def build(results: StudyResults, out: Path) -> Path:
    """Write `index.html`, `figures/` and `tables/` into `out`; return the page's path."""
    summary = summarise(results)
    plates = []
    if results.finished_arms:
        plates = [_plate(name, draw(results), out) for name, draw in FIGURES.items()]
    style.write_csv(summary_frame(summary), out / "tables" / "summary.csv")
    style.write_csv(results.runs, out / "tables" / "runs.csv")
    style.write_csv(results.phases, out / "tables" / "phases.csv")
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(
        study=results.study,
        sentence=_unbroken(sentence(summary)),
        banner=measurement.banner(results),
        simulated=summary.standing.simulated,
        warnings=measurement.warnings(results),
        headline=tables.headline(summary),
        plates=plates,
        runs=tables.every_run(results),
        facts=measurement.facts(results),
        baseline=summary.baseline,
        margin=f"{summary.margin * 100:g}",
        masked=any(arm.density < 1 for arm in summary.arms),
        lone=any(arm.n == 1 for arm in summary.arms),
    )
    path = out / "index.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def summary_frame(summary: Summary) -> pd.DataFrame:
    """The headline as a tidy table, one row an arm; units stand in the column names."""
    return pd.json_normalize([asdict(arm) for arm in summary.arms], sep="_")


def _plate(name: str, figured: Figured, out: Path) -> Plate:
    folder = out / "figures"
    style.save(figured.figure, figured.frame, folder, name)
    return Plate(name, inline(folder / f"{name}.svg"), figured.caption, figured.alt)


def _unbroken(text: str) -> str:
    """Keep a sign or a percent sign on one line with its number."""
    for broken, kept in ((" − ", "\u00a0−\u00a0"), (" + ", "\u00a0+\u00a0"), (" %", "\u00a0%")):
        text = text.replace(broken, kept)
    return text
