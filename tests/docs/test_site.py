"""The documentation as a site: whole, as the code is, and in need of nothing from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Request, sync_playwright

from tests.chromium import CHROMIUM, FLAGS
from tests.conftest import REPOSITORY
from tests.docs.pages import DOCS, blocks, pages

PHONE, DESKTOP = 390, 1280
"""Widths in pixels."""
WHOLE = """document.documentElement.scrollWidth <= document.documentElement.clientWidth
&& [...document.images].every(image => image.naturalWidth)"""
ALL = pages(".", "tutorials", "how-to", "reference", "explanation")


def test_every_block_is_of_a_kind_that_is_tried() -> None:
    known = {"sh", "python", "toml", "yaml", "text"}
    assert {block.language for page in ALL for block in blocks(page)} <= known
    for page in ALL:
        assert (DOCS / page).read_text("utf-8").count("```") == 2 * len(list(blocks(page)))


def test_the_reference_is_as_the_code_is() -> None:
    ended = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stderr}: run python docs/generate.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning would have ended the build."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("docs", "harness"):
        shutil.copytree(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "zensical.toml", folder)
    built = subprocess.run(
        [Path(sys.executable).parent / "zensical", "build", "--strict", "--clean"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    return folder / "site"


def test_every_page_is_there(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).with_suffix("")
        assert (site / (name if name.name != "index" else ".") / "index.html").exists()


@pytest.mark.torture
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_pages_whole_and_asks_no_other_host(
    site: Path, request: pytest.FixtureRequest
) -> None:
    """Of each section the longest page, which has most to be cut off; all with `--torture`."""
    wrong: list[str] = []
    longest: dict[Path, Path] = {}
    for path in sorted(site.rglob("index.html"), key=lambda path: path.stat().st_size):
        every = request.config.getoption("--torture")
        longest[path if every else path.parent.parent] = path
    with served(site) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda entry: wrong.append(entry.text) if entry.type == "error" else None
        )
        page.on("request", lambda asked: wrong.append(asked.url) if _away(asked, address) else None)
        for path in longest.values():
            page.goto(f"{address}/{path.parent.relative_to(site)}/")
            assert page.locator("h1").count() == 1, path
            for width in (PHONE, DESKTOP):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate(WHOLE), path
        browser.close()
    assert wrong == []


def _away(asked: Request, address: str) -> bool:
    return not asked.url.startswith((address, "data:", "blob:"))


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served meanwhile."""
    handler = partial(_Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_no_page_is_left_out_of_the_navigation() -> None:
    listed = (REPOSITORY / "zensical.toml").read_text("utf-8")
    for page in DOCS.rglob("*.md"):
        assert f'"{page.relative_to(DOCS)}"' in listed
