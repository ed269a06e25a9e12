"""The page as a person opens it: a real browser, offline, by mouse, touch and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import reports
from tests.chromium import CHROMIUM, FLAGS
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
    energy = page.locator("table").first.locator("thead th", has_text="Energy (estimated)")
    energy.click()
    rising = [float(text) for text in _column(page, "Energy (estimated)")]
    assert rising == sorted(rising)
    assert energy.get_attribute("aria-sort") == "ascending"
    energy.focus()
    page.keyboard.press("Enter")
    assert [float(text) for text in _column(page, "Energy (estimated)")] == rising[::-1]
    page.locator("table").first.locator("thead th", has_text="Method").click()
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


def test_values_are_told_by_pointer_and_by_key(page: Page) -> None:
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
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(
    browser: Browser, built: Path, scheme: Any, width: int
) -> None:
    size: Any = {"width": width, "height": 844}
    for page in _opened(browser, built, viewport=size, color_scheme=scheme):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, paper.strip("rgb()").split(","))) > 384
        assert light == (scheme == "light")


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
