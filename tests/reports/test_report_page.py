"""The page: whole, offline, safe, and the same twice."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import reports
from tests.reports.synthetic import PLANS, make

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = make(failed=[("early_bird", 2)])
    results.runs["host"] = f'{EVIL}"onload="x'
    results.runs.loc[results.runs["status"] == "failed", "reason"] = "<b>out of memory</b>"
    return reports.build(results, tmp_path_factory.mktemp("report"))


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
            if name in ("src", "href", "xlink:href", "data", "srcset", "poster", "action"):
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
    assert len(page.links) >= 11
    assert all((built.parent / link).is_file() for link in page.links)


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
    text = reports.build(make({"dense": "dense", evil: "early_bird"}), tmp_path).read_text("utf-8")
    assert EVIL not in text
    assert text.count("</svg>") == 3
    assert Page(text).tags.count("script") == 1


def test_page_shows_every_run_and_every_figure(built: Path) -> None:
    text = built.read_text(encoding="utf-8")
    assert text.count("<svg") == text.count('role="img"') == 3
    assert text.count("scope=row") == len(PLANS) + len(PLANS) * 3
    assert "2 of 3" in text
    assert "world average 475 g/kWh" in text
    assert 'role="note">Energy here is estimated' in text


def test_page_is_the_same_twice(tmp_path: Path) -> None:
    first, second = (reports.build(make(["dense"]), tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_measured_page_has_no_banner_and_simulated_has(tmp_path: Path) -> None:
    measured = reports.build(make(["dense"], source="counter"), tmp_path / "a").read_text("utf-8")
    assert 'class="banner' not in measured
    assert "estimated" not in measured.lower()
    simulated = reports.build(make(["dense"], source="simulated"), tmp_path / "b")
    assert 'class="banner simulated"' in simulated.read_text("utf-8")


def test_unlike_runs_are_flagged(tmp_path: Path) -> None:
    results = make(["dense", "early_bird"])
    results.runs.loc[results.runs["arm"] == "dense", "energy_scope"] = "gpu"
    text = reports.build(results, tmp_path).read_text("utf-8")
    assert "Runs differ in energy scope (gpu, cpu): compare with care." in text


def test_nothing_finished_is_still_a_page(tmp_path: Path) -> None:
    failed = [(arm, seed) for arm in PLANS for seed in range(3)]
    text = reports.build(make(failed=failed), tmp_path).read_text("utf-8")
    assert "No run has finished" in text
    assert "<svg" not in text
    assert text.count("out of memory") == 12
    assert "Energy here is estimated" in text


def test_import_is_cheap_and_the_page_needs_no_torch() -> None:
    code = (
        "import sys, reports; heavy = {'pandas', 'matplotlib', 'scipy', 'jinja2'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "import reports.page, reports.terminal;"
        "assert 'torch' not in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(reports.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)
