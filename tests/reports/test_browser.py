"""The page as a person opens it: a real browser, offline, by mouse, touch and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import reports
from tests.chromium import CHROMIUM, FLAGS
from tests.reports.conftest import for_a_browser
from tests.reports.details import detailed
from tests.reports.synthetic import make

EVIL = "early_bird <img src=x onerror=document.title='pwned'>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = detailed(make({"dense": "dense", "progressive": "progressive", EVIL: "early_bird"}))
    results.runs["host"] = "</script><script>document.title='pwned'</script>"
    with for_a_browser():
        return reports.build(results, out=tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(browser: Browser, built: Path) -> Iterator[Page]:
    yield from _opened(browser, built)


def _opened(browser: Browser, path: Path, **context: Any) -> Iterator[Page]:
    """The page, in a context of its own; afterwards nothing must have gone wrong in it."""
    wrong: list[str] = []
    with browser.new_context(offline=True, **context) as opened:
        page = opened.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if not _own(request) else None)
        page.goto(path.as_uri())
        yield page
        assert "pwned" not in page.title()
    assert not wrong


def _own(request: Any) -> bool:
    return bool(request.url.startswith("file:") and request.is_navigation_request())


def _column(page: Page, name: str) -> list[str]:
    cells = page.locator("table").first.locator("tbody tr").all()
    heads = page.locator("table").first.locator("thead th").all_text_contents()
    number = next(n for n, head in enumerate(heads) if head.startswith(name))
    return [row.locator("th, td").nth(number).inner_text().split("\n")[0] for row in cells]


def test_sorting_by_mouse_and_by_key(page: Page) -> None:
    head = page.locator("table").first.locator("thead th", has_text="Energy (estimated)")
    energy = head.get_by_role("button")
    assert energy.evaluate("e => getComputedStyle(e).borderStyle") == "solid"
    energy.click()
    rising = [float(text) for text in _column(page, "Energy (estimated)")]
    assert rising == sorted(rising)
    assert head.get_attribute("aria-sort") == "ascending"
    energy.focus()
    page.keyboard.press("Enter")
    assert [float(text) for text in _column(page, "Energy (estimated)")] == rising[::-1]
    page.locator("table").first.get_by_role("button", name="Method").click()
    names = _column(page, "Method")
    assert names == sorted(names)


def test_a_method_goes_from_every_figure_and_table_and_comes_back(page: Page) -> None:
    parts = page.locator('[data-arm="1"]')
    assert parts.count() > 10
    row = page.locator("table").first.locator("tbody tr", has_text="progressive")
    shown = page.locator("fieldset.arms label", has_text="progressive").locator("input")
    shown.uncheck()
    assert not row.is_visible()
    assert page.locator('svg [data-arm="1"]').first.is_hidden()
    assert page.locator('svg [data-arm="0"]').first.is_visible()
    shown.press(" ")
    assert row.is_visible()
    assert page.locator('svg [data-arm="1"]').first.is_visible()


def test_values_are_reported_by_pointer_and_by_key(page: Page) -> None:
    tip = page.get_by_role("status")
    assert tip.is_hidden()
    drawing = page.locator(".drawing").first
    page.get_by_role("status")
    part = drawing.locator("[data-tip]").first
    part.scroll_into_view_if_needed()
    part.hover(force=True)
    assert tip.is_visible()
    assert tip.inner_text() in {
        each.get_attribute("data-tip") for each in drawing.locator("[data-tip]").all()
    }
    drawing.focus()
    page.keyboard.press("ArrowRight")
    first = tip.inner_text()
    page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_markup_in_names_is_text(page: Page) -> None:
    assert EVIL in _column(page, "Method")
    assert page.locator("img").count() == 0
    assert page.locator("label", has_text="<img src=x").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window(
    browser: Browser, built: Path, scheme: Any, width: int
) -> None:
    size: Any = {"width": width, "height": 844}
    for page in _opened(browser, built, viewport=size, color_scheme=scheme):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, paper.strip("rgb()").split(","))) > 384
        assert light == (scheme == "light")


def test_verdict_and_first_figure_are_seen_at_once(browser: Browser, built: Path) -> None:
    size: Any = {"width": 1280, "height": 900}
    for page in _opened(browser, built, viewport=size):
        for part in (".finding", ".cards", ".drawing"):
            box = page.locator(part).first.bounding_box()
            assert box is not None
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= size["height"], part


def test_the_verdict_is_whole_on_a_phone(browser: Browser, built: Path) -> None:
    size: Any = {"width": 390, "height": 844}
    for page in _opened(browser, built, viewport=size):
        seen = 0
        for part in page.locator(
            ".finding, .card:first-child .verdict, .card:first-child dd"
        ).all():
            box = part.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size["width"]
            assert box["y"] + box["height"] <= size["height"]
            seen += 1
        assert seen == 4


NUMBERS_IN_ONE_LINE = """() => {
  const wrong = [];
  const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (!node.parentElement.checkVisibility() || node.parentElement.closest("svg")) continue;
    for (const found of node.data.matchAll(/[−+]?\\d[\\d.,]*( %)?|[−+]\\d\\S* … \\S+\\d/g)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (tops.size > 1) wrong.push(found[0]);
    }
  }
  return wrong;
}"""


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_number_is_broken(browser: Browser, built: Path, width: int) -> None:
    size: Any = {"width": width, "height": 844}
    for page in _opened(browser, built, viewport=size):
        assert page.evaluate(NUMBERS_IN_ONE_LINE) == []


def test_every_heading_is_in_the_contents(page: Page) -> None:
    listed = page.locator("nav.contents a").all_text_contents()
    headings = page.locator("main h1, main h2").all_text_contents()
    assert len(headings) > 10
    assert sorted(headings) == sorted(listed)
    for link in page.locator("nav.contents a").all():
        target = link.get_attribute("href")
        assert target
        assert page.locator(f"[id='{target[1:]}']").count() == 1


def test_long_tables_are_folded_and_open(page: Page) -> None:
    table = page.get_by_role("region", name="All runs")
    assert not table.is_visible()
    page.locator("summary", has_text="Show 9 rows").click()
    assert table.is_visible()


def test_what_was_assumed_is_reported_once(page: Page) -> None:
    assumed = " ".join((page.locator("main").text_content() or "").split())
    assert assumed.count("2 threads at 7.5 W") == 1
    assert assumed.count("scope: cpu") == 0


def test_without_scripts_the_page_is_whole(browser: Browser, built: Path) -> None:
    for page in _opened(browser, built, java_script_enabled=False):
        assert page.locator("svg g > title").count() > 0
        assert page.locator("fieldset.arms").is_hidden()
        assert page.locator("table").first.is_visible()


def test_in_print_nothing_is_cut_off(browser: Browser, built: Path, tmp_path: Path) -> None:
    for page in _opened(browser, built):
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 680, "height": 960})
        assert page.locator("fieldset.arms").is_hidden()
        assert page.evaluate(
            "[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= innerWidth)"
        )
        page.pdf(path=tmp_path / "page.pdf", format="A4")
        assert (tmp_path / "page.pdf").stat().st_size > 10_000
