"""The page: whole, offline, safe, and the same twice."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import reports
from reports.figures.gallery import ACROSS, FIGURES
from reports.statistics.summary import summarise
from reports.text.sentence import confidence
from reports.text.units import signed
from tests.reports.conftest import for_a_browser
from tests.reports.details import detailed
from tests.reports.synthetic import PLANS, make

EVIL = "<script>alert(1)</script>"
FAILED = [("early_bird", 2)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = detailed(make(failed=FAILED))
    results.runs["host"] = f'{EVIL}"onload="x'
    results.runs.loc[results.runs["status"] == "failed", "reason"] = "<b>out of memory</b>"
    with for_a_browser():
        return reports.build(results, out=tmp_path_factory.mktemp("report"))


class Page(HTMLParser):
    """Collects what a page loads, links to and calls its parts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            text = value or ""
            if name == "id":
                self.ids.append(text)
            if value and text.startswith("data:image/png;base64,"):
                self.tags.append("picture within the page")
            elif name in ("src", "href", "xlink:href", "data", "srcset", "poster", "action"):
                (self.links if tag == "a" else self.references).append(text)
            if name.startswith("on"):
                self.handlers.append(name)
            self.references += re.findall(r"url\((.*?)\)", text)


def test_page_loads_nothing_from_anywhere(built: Path) -> None:
    text = built.read_text(encoding="utf-8")
    page = Page(text)
    assert page.references
    assert all(ref.startswith("#") for ref in page.references)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)|fetch\(|XMLHttp", text)
    assert "http" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)


def test_references_and_links_lead_somewhere(built: Path) -> None:
    page = Page(built.read_text(encoding="utf-8"))
    assert {ref[1:] for ref in page.references} <= set(page.ids)
    within = [link for link in page.links if link.startswith("#")]
    files = [link for link in page.links if not link.startswith("#")]
    assert len(files) >= 11
    assert all((built.parent / link).is_file() for link in files)
    assert {link[1:] for link in within} <= set(page.ids)


def test_ids_are_unique_across_figures(built: Path) -> None:
    ids = Page(built.read_text(encoding="utf-8")).ids
    assert len(ids) == len(set(ids))


def test_markup_in_names_is_text(built: Path) -> None:
    text = built.read_text(encoding="utf-8")
    page = Page(text)
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<b>out of memory" not in text
    assert "&lt;b&gt;out of memory" in text
    assert page.tags.count("script") == 1
    assert not page.handlers


def test_markup_in_an_arm_is_text_in_the_figures_too(tmp_path: Path) -> None:
    evil = f"early_bird --></svg>{EVIL}"
    results = make({"dense": "dense", evil: "early_bird"})
    text = reports.build(results, out=tmp_path).read_text("utf-8")
    assert EVIL not in text
    assert text.count("</svg>") == text.count("<svg") > 3
    assert Page(text).tags.count("script") == 1


def test_page_shows_every_run_and_every_figure(built: Path) -> None:
    text = built.read_text(encoding="utf-8")
    drawn = {path.stem for path in (built.parent / "figures").glob("*.svg")}
    assert drawn == set(FIGURES) - {"decomposition", "break_even", "lifetime", "matched_score"}
    assert text.count("<svg") == text.count('class="drawing"') == len(drawn)
    for name, rows in (("Methods", len(PLANS)), ("All runs", 3 * len(PLANS))):
        table = re.search(rf'aria-label="{name}".*?</table>', text, flags=re.DOTALL)
        assert table
        assert table[0].count("scope=row") == rows
    assert "2 of 3" in text
    assert "world average 475 g/kWh" in text.replace("\u00a0", " ")
    assert "Energy here is estimated" in text


def test_a_card_has_the_interval_that_its_verdict_rests_on(built: Path) -> None:
    text = built.read_text(encoding="utf-8").replace("\u00a0", " ")
    cards = re.findall(
        r'class="card" data-verdict="([^"]*)".*?<span class="within">([^<]*)<', text, re.DOTALL
    )
    decisions = [a.decision for a in summarise(make(failed=FAILED)).challengers if a.decision]
    assert {confidence(each.interval) for each in decisions} != {"95 %"}
    expected = set()
    for each in decisions:
        low, high = (signed(end * 100, 2) for end in (each.interval.low, each.interval.high))
        expected.add((each.verdict, f"{confidence(each.interval)} CI {low} … {high}"))
    assert {*cards} == expected


def test_every_figure_and_table_is_beside_the_page_in_every_format(built: Path) -> None:
    for path in (built.parent / "figures").glob("*.svg"):
        assert all(path.with_suffix(f".{kind}").exists() for kind in ("pdf", "png", "csv"))
    tables = {path.stem for path in (built.parent / "tables").glob("*.tex")}
    wanted = {"headline", "energy_to_score", "every_run", "environment", "warnings"}
    assert wanted <= tables
    for path in (built.parent / "tables").glob("*.tex"):
        assert all(path.with_suffix(f".{kind}").exists() for kind in ("md", "csv"))


def test_attempts_are_listed_where_a_run_took_several(built: Path) -> None:
    text = built.read_text(encoding="utf-8")
    table = re.search(r'aria-label="Runs that took several.*?</table>', text, flags=re.DOTALL)
    assert table
    assert table[0].count("died") == 5
    whole = (built.parent / "tables" / "attempts.csv").read_text("utf-8").splitlines()
    assert len(whole) == 1 + 12 + 5


def test_several_studies_make_one_page(tmp_path: Path) -> None:
    names = ["a/b", "<b>two</b>", "a/b", "four"]
    studies = [
        replace(make(["dense", "early_bird"], rng_seed=n), study=name)
        for n, name in enumerate(names)
    ]
    with for_a_browser():
        path = reports.build(*studies, out=tmp_path)
    page = Page(path.read_text("utf-8"))
    assert "<b>two" not in path.read_text("utf-8")
    assert len(page.ids) == len(set(page.ids))
    assert {ref[1:] for ref in page.references} <= set(page.ids)
    files = [link for link in page.links if not link.startswith("#")]
    assert all((tmp_path / link).is_file() for link in files)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert (tmp_path / "figures" / "performance_profile.svg").exists()
    assert len(list(tmp_path.glob("*/figures/score_energy.svg"))) == 4
    assert all(tmp_path in found.parents for found in tmp_path.rglob("*"))


def test_three_studies_are_too_few_for_a_profile() -> None:
    studies = [replace(make(["dense", "early_bird"]), study=name) for name in "abc"]
    assert not any(draw(studies) for draw in ACROSS.values())


def test_page_is_the_same_twice(tmp_path: Path) -> None:
    first, second = (reports.build(make(["dense"]), out=tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("undrawn")
def test_measured_page_has_no_banner_and_simulated_has(tmp_path: Path) -> None:
    counted = make(["dense"], source="counter")
    measured = reports.build(counted, out=tmp_path / "a").read_text("utf-8")
    assert 'class="banner' not in measured
    assert "estimated" not in measured.lower()
    simulated = reports.build(make(["dense"], source="simulated"), out=tmp_path / "b")
    assert 'class="banner simulated"' in simulated.read_text("utf-8")


@pytest.mark.usefixtures("undrawn")
def test_unlike_runs_are_flagged(tmp_path: Path) -> None:
    results = make(["dense", "early_bird"])
    results.runs.loc[results.runs["arm"] == "dense", "energy_scope"] = "gpu"
    text = reports.build(results, out=tmp_path).read_text("utf-8")
    assert "Runs differ in energy scope (gpu, cpu): compare with care." in text


def test_nothing_finished_is_still_a_page(tmp_path: Path) -> None:
    failed = [(arm, seed) for arm in PLANS for seed in range(3)]
    text = reports.build(make(failed=failed), out=tmp_path).read_text("utf-8")
    assert "No run has finished" in text
    assert "<svg" not in text
    assert text.count("out of memory") == 12
    assert "Energy here is estimated" in text


def test_import_is_cheap_and_the_page_needs_no_torch() -> None:
    code = (
        "import sys, reports; heavy = {'pandas', 'matplotlib', 'scipy', 'jinja2'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "import reports.html.page, reports.data, reports.tables.terminal;"
        "assert 'torch' not in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(reports.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)
