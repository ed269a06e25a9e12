"""The page: one HTML file that opens offline, and the files it links to.

For each study, `section` writes the files of its figures and tables and gathers what the template
shows. `inline` makes a saved SVG fit to stand in a page beside others, and `unbroken` keeps a
number, its unit and its interval on one line.
"""

from __future__ import annotations

import gc
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.settings.run_spec import folder_name
from reports.figures.gallery import ACROSS, FIGURES
from reports.plotting import style
from reports.statistics.summary import summarise
from reports.tables import formats
from reports.tables.gallery import DETAILS, FINDINGS
from reports.tables.headline import headline
from reports.tables.matched import NAME as MATCHED
from reports.tables.matched import matched_frame
from reports.tables.table import Table
from reports.tables.warnings import warning_table
from reports.text import measurement
from reports.text.phrases import listed
from reports.text.scores import Shown
from reports.text.sentence import confidence, sentence
from reports.text.units import relative
from reports.text.warnings import STANDING, warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jinja2 import Template

    from reports.data import StudyResults
    from reports.figures.figure_result import Figured
    from reports.plotting.svg_ids import Marks
    from reports.statistics.statistics import Interval
    from reports.statistics.summary import Summary


def build(studies: Sequence[StudyResults], out: Path) -> Path:
    """Write `index.html` and the files of all figures and tables into `out`.

    With one study these go into `figures/` and `tables/`, else into a folder per study.

    Returns:
        The page's path.
    """
    several = len(studies) > 1
    out.mkdir(parents=True, exist_ok=True)
    across = []
    if several:
        drawn = ((name, draw(studies)) for name, draw in ACROSS.items())
        across = [plate(name, figured, out, "", "across") for name, figured in drawn if figured]
    sections = []
    for number, results in enumerate(studies, start=1):
        if number > 1:
            # The figures of a study hold each other; a caller may have put off collecting cycles.
            gc.collect()
        folder = f"{number}-{folder_name(results.study)}/" if several else ""
        sections.append(section(results, out, folder, f"study-{number}"))
    page = template("page.html.j2").render(
        title=", ".join(each.study for each in sections),
        scores=listed(dict.fromkeys(each.score for each in sections)),
        sections=sections,
        across=across,
    )
    path = out / "index.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def template(name: str) -> Template:
    """A page of `templates/`, with what it may use."""
    environment = Environment(
        loader=PackageLoader("reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    return environment.get_template(name)


MAX_CARDS = 3
"""More methods than this are left to the table below the strip."""


@dataclass(frozen=True)
class Plate:
    """A figure as it stands on the page.

    Attributes:
        identity: Names it in links.
        title: Its heading.
        path: Of its files, relative to the page, without a suffix.
        svg: The drawing.
        brief: What it shows, beside it.
        reading: How to read it, folded.
        alt: Instead of it.
        has_tips: Whether parts of it show something when they are pointed at.
    """

    identity: str
    title: str
    path: str
    svg: Markup
    brief: str
    reading: str
    alt: str
    has_tips: bool


@dataclass(frozen=True)
class Card:
    """What the strip at the top shows of a method that is compared with the baseline.

    Attributes:
        arm: The method.
        verdict: On its score; empty where none can be given.
        facts: Name, value and interval of each comparison.
    """

    arm: str
    verdict: str
    facts: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Section:
    """What the template shows of one study.

    Attributes:
        identity: Names the section in links.
        study: The study's name.
        score: What its runs are scored by.
        sentence: Its conclusion.
        cards: The methods compared with the baseline, the best first; at most `MAX_CARDS`.
        more: How many methods have no card.
        banner: What to know before any energy figure; empty if all were measured.
        simulated: Whether a stand-in device was measured.
        warnings: What else to know.
        arms: The arms, in the order of their numbers.
        headline: The first table.
        findings: The tables that stand before the runs.
        plates: The figures.
        details: The tables of runs, attempts and environment.
        facts: How energy was measured.
        folder: Of its files, relative to the page.
    """

    identity: str
    study: str
    score: str
    sentence: str
    cards: Sequence[Card]
    more: int
    banner: str
    simulated: bool
    warnings: Sequence[str]
    arms: Sequence[str]
    headline: Table
    findings: Sequence[Table]
    plates: Sequence[Plate]
    details: Sequence[Table]
    facts: Sequence[tuple[str, str]]
    folder: str


def section(results: StudyResults, out: Path, folder: str, identity: str) -> Section:
    """Write one study's figures and tables, and return its part of the page.

    Args:
        results: The study.
        out: The page's folder.
        folder: Where its files go, relative to `out` and ending in a slash, or empty.
        identity: Names the section; letters, digits and hyphens.
    """
    summary = summarise(results)
    tables = out / folder / "tables"
    first = headline(summary)
    findings = [table for make in FINDINGS if (table := make(results)) is not None]
    details = [table for make in DETAILS if (table := make(results)) is not None]
    for table in (first, *findings, *details, warning_table(results)):
        formats.save(table, tables)
    _write_matched(results, tables)
    for name in ("runs", "phases", "curves", "attempts", "tickets"):
        style.write_csv(getattr(results, name), tables / f"{name}.csv")
    plates = []
    if results.finished_arms:
        drawn = ((name, draw(results)) for name, draw in FIGURES.items())
        plates = [plate(name, figured, out, folder, identity) for name, figured in drawn if figured]
    return Section(
        identity=identity,
        study=results.study,
        score=results.metric.name,
        sentence=sentence(summary),
        cards=_cards(summary)[:MAX_CARDS],
        more=max(len(_cards(summary)) - MAX_CARDS, 0),
        banner=measurement.banner(results),
        simulated=summary.standing.simulated,
        # The banner has that already.
        warnings=[each.text for each in warnings(results) if each.kind != STANDING],
        arms=results.arms,
        headline=first,
        findings=findings,
        plates=plates,
        details=details,
        facts=measurement.facts(results),
        folder=folder,
    )


def _write_matched(results: StudyResults, tables: Path) -> None:
    """Energy at the same score as JSON, too, a record per method, where there is any."""
    frame = matched_frame(results)
    if len(frame):
        text = frame.to_json(orient="records", indent=2, force_ascii=False)
        (tables / f"{MATCHED}.json").write_text(f"{text}\n", "utf-8", newline="\n")


def plate(name: str, figured: Figured, out: Path, folder: str, identity: str) -> Plate:
    """Write one figure's files, and return it as it stands on the page."""
    place = out / folder / "figures"
    style.save(figured.figure, figured.frame, place, name)
    text = f"{figured.brief}\n\n{figured.caption}\n"
    (place / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")
    return Plate(
        identity=f"{identity}-{name}",
        title=style.title_of(figured.figure),
        path=f"{folder}figures/{name}",
        svg=inline(place / f"{name}.svg", figured.marks, f"{identity}-{name}-"),
        brief=figured.brief,
        reading=figured.reading,
        alt=figured.alt,
        has_tips=bool(figured.marks.tips),
    )


def _cards(summary: Summary) -> list[Card]:
    """A card for each finished method that is compared, in the order of the headline."""
    shown = Shown(summary.metric)
    return [
        Card(
            arm.arm,
            arm.verdict or "",
            [
                _fact(
                    shown.name,
                    arm.decision.interval,
                    shown.change,
                    f" {summary.metric.difference_unit}".rstrip(),
                ),
                _fact("energy", arm.ratio, relative, f" × {summary.baseline}"),
            ],
        )
        for arm in summary.challengers
        if arm.decision is not None and arm.ratio is not None
    ]


def _fact(
    name: str, found: Interval, show: Callable[[float], str], unit: str
) -> tuple[str, str, str]:
    within = ""
    if found.bounded:
        within = f"{confidence(found)} CI {show(found.low)} … {show(found.high)}"
    return name, f"{show(found.mean)}{unit}", within


def inline(path: Path, marks: Marks, prefix: str) -> Markup:
    """The figure as an `svg` element that scales to its box.

    Matplotlib numbers the parts of every figure alike (`patch_1`, `text_1`), so each id and
    each reference to one gets `prefix` in front; namespaces go, HTML has its own. Parts that belong
    to an arm get its number as `data-arm`, and what they show as a `title`.
    """
    root = ET.parse(path).getroot()  # noqa: S314  (written by us a moment ago)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = dict(element.attrib)
        element.attrib.clear()
        for key, value in attributes.items():
            name = key.rpartition("}")[2]
            if name == "id":
                element.set(name, prefix + value)
                _mark(element, value, marks)
            elif name == "href":
                element.set(name, value.replace("#", f"#{prefix}", 1))
            else:
                element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  (escaped by the writer)


def _mark(element: ET.Element, identity: str, marks: Marks) -> None:
    if identity in marks.arms:
        element.set("data-arm", str(marks.arms[identity]))
    if identity in marks.tips:
        title = ET.Element("title")
        title.text = marks.tips[identity]
        element.insert(0, title)


_UNIT = "%|×|J|kJ|MJ|W|kW|kWh|g/kWh|mg|g|kg|ms|s|min|h|GB|points?|seeds?|runs?|epochs?"
_JOINED = (
    re.compile(r"(?<=%)( )(?=CI\b)"),
    re.compile(rf"(?<=\d)( )(?=(?:{_UNIT})(?![A-Za-z]))"),
    re.compile(r"(?<=\S)( )(?=(?:…|±|−|\+) ?[\d∞−+])"),
    re.compile(r"(?<=[…±])( )(?=[\d∞−+])"),
    re.compile(r"(?<= [−+])( )(?=\d)|(?<=\u00a0[−+])( )(?=\d)"),
    re.compile(r"(?<=\bn)( )(?==)|(?<=\bn =)( )(?=\d)|(?<=\bn\u00a0=)( )(?=\d)"),
)


def unbroken(text: str) -> str:
    """The text with no-break spaces inside quantities and intervals, such as "−1.5 … +0.6"."""
    for pattern in _JOINED:
        text = pattern.sub("\u00a0", text)
    return text
