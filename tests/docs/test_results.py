"""What the pages say was found is what the committed records show."""

from __future__ import annotations

import re

import pytest

from docs.generate import OUTCOMES
from tests.conftest import REPOSITORY

CLAIMS = REPOSITORY / "docs" / "reference" / "claims.md"
TABLE = re.compile(r"<!-- outcome of .*?<!-- end -->", re.DOTALL)
# A difference in points, a ratio, or the interval of one.
FIGURE = re.compile(r"[−+]?\d+\.\d\d(?: … [−+]?\d+\.\d\d)?(?= (?:points|×)|\))")


def test_every_figure_in_the_prose_is_one_of_the_records() -> None:
    text = (REPOSITORY / "docs" / "results.md").read_text("utf-8")
    tables = " ".join(TABLE.findall(text)) + CLAIMS.read_text("utf-8")
    figures = FIGURE.findall(TABLE.sub("", text))
    assert len(figures) > 10
    assert [figure for figure in figures if figure not in tables] == []


@pytest.mark.parametrize("page", OUTCOMES, ids=lambda page: page.name)
def test_a_page_of_results_names_its_records(page) -> None:
    folders = re.findall(r"<!-- outcome of (\S+),", page.read_text("utf-8"))
    assert folders
    assert all((REPOSITORY / folder / "study.json").exists() for folder in folders)
