"""Every path, link and module that a Markdown file names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROOMS = "harness|methods|reports|tests|docs|benchmarks|examples|skills"
PATH = re.compile(rf"(?<![\w/.-])(?:{ROOMS})/[\w./-]*\w(?:/|\b)")
MODULE = re.compile(r"(?:`|::: |import |from )((?:harness|methods|reports)\.[A-Za-z_][\w.]*)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
HISTORY = "CHANGELOG.md"
"""Names things as they were called when they changed."""


def pages() -> list[str]:
    """The Markdown files of the repository."""
    folders = (".", ".github", *ROOMS.split("|"))
    found = {
        path.relative_to(REPOSITORY)
        for folder in folders
        for path in (REPOSITORY / folder).glob("*.md" if folder == "." else "**/*.md")
    }
    return sorted(map(str, found - {Path(HISTORY)}))


def missing(page: str, text: str) -> Iterator[str]:
    """What a page names that does not exist."""
    for path in PATH.findall(text):
        if "YOU" not in path and not (REPOSITORY / path).exists():
            yield path
    for link in LINK.findall(text):
        if not (REPOSITORY / page).parent.joinpath(link).exists():
            yield link
    for name in MODULE.findall(text):
        if not _is_importable(name):
            yield name


def _is_importable(name: str) -> bool:
    """Whether a dotted name is a module or a thing that one defines; looked up, not imported."""
    folder, rest = REPOSITORY, name.split(".")
    while rest and (folder / rest[0]).is_dir():
        folder /= rest.pop(0)
    module = folder / "__init__.py"
    if rest and (folder / f"{rest[0]}.py").exists():
        module = folder / f"{rest.pop(0)}.py"
    text = module.read_text("utf-8")
    return all(re.search(rf'(^|class |def |"){part}\b', text, re.MULTILINE) for part in rest)


@pytest.mark.parametrize("page", pages())
def test_what_a_page_names_exists(page: str) -> None:
    assert sorted(set(missing(page, (REPOSITORY / page).read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "gone", ["`harness/drive.py`", "[guide](docs/nowhere.md)", "`harness.energy.meters.nvml`"]
)
def test_a_name_that_is_gone_is_found(gone: str) -> None:
    assert list(missing("README.md", gone))
