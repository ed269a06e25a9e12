"""What the pages say was found is what the committed records show."""

from __future__ import annotations

import re

import pytest

from docs.generate import OUTCOMES
from harness.results.table import Tables
from reports.data import plain_results
from reports.statistics.energy_ratio import doubt_in
from tests.conftest import REPOSITORY

CLAIMS = REPOSITORY / "docs" / "reference" / "claims.md"
TABLE = re.compile(r"<!-- outcome of .*?<!-- end -->", re.DOTALL)
# A difference in a score, a ratio, or the interval of one.
NUMBER = r"[−+]?\d+\.\d\d(?:\d\d)?"
FIGURE = re.compile(rf"{NUMBER}(?: … {NUMBER})?(?= (?:points|bits|×)|\))")


def test_every_figure_in_the_prose_is_one_of_the_records() -> None:
    text = (REPOSITORY / "docs" / "results.md").read_text("utf-8")
    tables = " ".join(TABLE.findall(text)) + CLAIMS.read_text("utf-8")
    figures = FIGURE.findall(TABLE.sub("", text))
    assert len(figures) > 10
    assert [figure for figure in figures if figure not in tables] == []


def test_ratios_by_seed_and_the_doubt_in_them_are_those_of_the_records() -> None:
    text = " ".join((REPOSITORY / "docs" / "results.md").read_text("utf-8").split())
    results = plain_results(Tables(REPOSITORY / "benchmarks" / "laptop-vision"))
    small, dense = "small_dense share=0.5", "dense"
    ours, theirs = (results.by_seed(arm, "energy_j") for arm in (small, dense))
    first, second, third, fourth = (f"{ours[n] / theirs[n]:.2f}" for n in sorted(ours))
    assert f"took {first} times dense's" in text
    assert f"{second} and {third} times with seeds 1 and 2" in text
    assert f"{fourth} times with seed 3" in text
    for arm in ("early_bird prune_ratio=0.5", small):
        assert f"{doubt_in(results, arm, dense, [0, 1, 2, 3]).share:.1f} times itself" in text
    ours, theirs = (results.by_seed(arm, "test_score") for arm in ("progressive", dense))
    lost = " and ".join(sorted(f"{100 * (theirs[n] - ours[n]):.2f}" for n in ours))
    assert lost == "1.66 and 3.36"
    assert "1.66 points below dense training with one seed and 3.36 with the other" in text


@pytest.mark.parametrize("page", OUTCOMES, ids=lambda page: page.name)
def test_a_page_of_results_names_its_records(page) -> None:
    folders = re.findall(r"<!-- outcome of (\S+),", page.read_text("utf-8"))
    assert folders
    assert all((REPOSITORY / folder / "study.json").exists() for folder in folders)
