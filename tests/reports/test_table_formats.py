"""A table says the same as CSV, Markdown and LaTeX, whatever its words hold."""

from __future__ import annotations

import csv
import io
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from reports.analysis.summary import summarise
from reports.tables.formats import as_csv, as_latex, as_markdown
from reports.tables.headline import headline
from reports.tables.table import Cell, Table
from tests.reports.synthetic import make

WORDS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def table(*rows: list[Cell]) -> Table:
    return Table("t", "T", ["Method", "Energy, J"], rows, legend="How to read it: 95 % CI.")


def test_csv_holds_the_numbers_in_base_units_and_the_notes_beside() -> None:
    found = list(csv.reader(io.StringIO(as_csv(headline(summarise(make()))))))
    header, *rows = found
    energy = next(n for n, name in enumerate(header) if name.startswith("Energy (estimated), J"))
    assert header[energy + 1] == f"{header[energy]} (note)"
    by_arm = {row[0]: row for row in rows}
    runs = make().runs
    mean = runs.loc[runs["arm"] == "dense", "energy_j"].mean()
    assert math.isclose(float(by_arm["dense"][energy]), mean)
    assert " … " in by_arm["dense"][energy + 1]
    assert all(len(row) == len(header) for row in rows)


def test_markdown_and_latex_by_hand() -> None:
    listed = table([Cell("a_b", value="a_b"), Cell("1.5", "1 … 2", 1.5)])
    assert as_markdown(listed) == (
        "| Method | Energy, J |\n| --- | ---: |\n| a\\_b | 1.5 (1 … 2) |\n\n"
        "How to read it: 95 % CI.\n"
    )
    assert as_latex(listed) == (
        "% \\usepackage{booktabs}\n% How to read it: 95 % CI.\n\\begin{tabular}{lr}\n\\toprule\n"
        "Method & Energy, J \\\\\n\\midrule\na\\_b & 1.5 (1 \\dots{} 2) \\\\\n\\bottomrule\n"
        "\\end{tabular}\n"
    )


@given(WORDS)
def test_no_word_breaks_a_row_or_becomes_markup(word: str) -> None:
    listed = table([Cell(word, value=word), Cell("1", value=1.0)])
    row = list(csv.reader(io.StringIO(as_csv(listed), newline="")))[1]
    assert row == [word, "1.0"]
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
    row = [Cell("x", value="x"), Cell("1", value=1), Cell("–")]
    mixed = Table("t", "T", ["a", "b", "c"], [row])
    assert mixed.numeric == [False, True, True]
    assert Table("t", "T", ["a"], []).numeric == [False]
