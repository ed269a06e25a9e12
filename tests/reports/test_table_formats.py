"""A table says the same as CSV, Markdown and LaTeX, whatever its words hold."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.column import Column, Schema
from reports.statistics.statistics import Interval
from reports.tables.formats import as_csv, as_latex, as_markdown
from reports.tables.table import Table, View
from reports.text.units import Unit, within

WORDS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
SCHEMA = Schema(
    "t",
    "T",
    "a method",
    (
        Column("arm", "text", "The method."),
        Column("energy_j", "number", "Its energy.", "J", interval=True),
        Column("n", "integer", "For programs only."),
    ),
)


def table(arm: str, energy_j: Interval | float | None) -> Table:
    return Table(
        SCHEMA,
        [{"arm": arm, "energy_j": energy_j, "n": 2}],
        {"arm": View("Method"), "energy_j": View("Energy", Unit("kJ", 1e3))},
        legend="How to read it: 95 % CI.",
    )


def test_by_hand() -> None:
    listed = table("a_b", Interval(1500.0, 1000.0, 2000.0, 2))
    assert as_csv(listed) == (
        "arm,energy_j,energy_j_low,energy_j_high,n\na_b,1500.0,1000.0,2000.0,2\n"
    )
    assert as_markdown(listed) == (
        "| Method | Energy, kJ |\n| --- | ---: |\n| a\\_b | 1.50 (1.00 … 2.00) |\n\n"
        "How to read it: 95 % CI.\n"
    )
    assert as_latex(listed) == (
        "% \\usepackage{booktabs}\n% How to read it: 95 % CI.\n\\begin{tabular}{lr}\n\\toprule\n"
        "Method & Energy, kJ \\\\\n\\midrule\na\\_b & 1.50 (1.00 \\dots{} 2.00) \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def test_what_is_not_known_is_a_dash_for_people_and_nothing_for_programs() -> None:
    for unknown in (None, float("nan"), Interval(float("nan"), float("nan"), float("nan"), 0)):
        listed = table("a", unknown)
        assert as_csv(listed).splitlines()[1] == "a,,,,2"
        assert listed.rows[0][1].text == "–"
        assert listed.rows[0][1].value == ""


@given(WORDS)
def test_no_word_breaks_a_row_or_becomes_markup(word: str) -> None:
    listed = table(word, 1.0)
    [_, row] = csv.reader(io.StringIO(as_csv(listed), newline=""))
    assert row[1:] == ["1.0", "", "", "2"]
    assert row[0].lstrip("'") == word.replace("\r", " ").lstrip("'")
    lines = as_markdown(listed).splitlines()
    assert len(lines) == 5
    bare = re.sub(r"\\.", "", lines[2])
    assert bare.count("|") == 3
    assert not re.search(r"[<>`*_\[\]#$&~{}]", bare)
    body = as_latex(listed).split("\\midrule\n")[1].split("\\bottomrule")[0]
    assert body.count("\n") == 1
    bare = re.sub(r"\\[{}$&#%_]|\$\\?[a-z-]+\$", "", body)
    assert bare.count("&") == 1
    assert not set("#$%_^") & set(bare)


def test_numbers_stand_right_and_words_left() -> None:
    assert table("a", None).numeric == [False, True]


@pytest.mark.parametrize(
    ("energy_j", "uncertainty_j", "text"),
    [
        (28.7, 1.4, "± 1.40 J"),
        (28.7, 54.6, "within a factor of 2.9"),
        (2.0, 2.0, "within a factor of 2"),
        (0.0, 1.0, "± 1.00 J"),
    ],
)
def test_an_energy_is_never_reported_to_reach_below_zero(
    energy_j: float, uncertainty_j: float, text: str
) -> None:
    assert within(energy_j, uncertainty_j) == text
