"""What a comparison looks like in a terminal, in Markdown and as JSON."""

from __future__ import annotations

import json
import re

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from reports.statistics.comparison import Comparison, compare
from reports.statistics.threshold_check import Checked
from reports.tables.comparison import as_comment, as_object, comparison_table, comparison_terminal
from reports.text.comparison import gate_sentence, notes, remarks, warnings
from tests.reports.compared import (
    AFTER,
    BEFORE,
    compared,
    gates,
    result_set,
    spec,
)

HOSTILE = "a|b [red]c[/red] *d* <img src=x> \x1b[31m\u202e\n- e @f https://g.example :bomb: `h`"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    specs = {HOSTILE: spec("dense")}
    first = result_set("A", {HOSTILE: BEFORE, f"{HOSTILE}2": BEFORE})
    second = result_set(
        "B",
        {HOSTILE: AFTER},
        specs=specs,
        runs={"energy_scope": HOSTILE},
        attempts={"host": HOSTILE},
    )
    return compare(first, second)


@pytest.fixture(scope="module")
def checked(comparison: Comparison) -> list[Checked]:
    return [*gates(comparison, "energy:+5%"), *gates(comparison, "time:+5%")]


def test_in_a_terminal(comparison: Comparison, checked: list[Checked]) -> None:
    console = Console(width=300, highlight=False, markup=False, emoji=False, force_terminal=True)
    with console.capture() as captured:
        console.print(comparison_terminal(comparison_table(comparison)))
        for line in [*remarks(comparison), *map(gate_sentence, checked)]:
            console.print(line)
    text = captured.get()
    assert "\x1b[31m" not in text
    assert "\u202e" not in text
    assert "[red]c[/red]" in text
    assert ":bomb:" in text
    assert "\\x1b" in text


def test_in_markdown(comparison: Comparison, checked: list[Checked]) -> None:
    text = as_comment(comparison, checked)
    assert not {"\x1b", "\u202e"} & set(text)
    assert not re.search(r"@\w|https?://", text)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<img" not in rendered
    assert "<em>" not in rendered
    assert "<code>" not in rendered
    assert "<a " not in rendered
    body = rendered[rendered.index("<tbody>") : rendered.index("</tbody>")]
    assert body.count("<tr>") == len(comparison.arms)
    assert body.count("<td") == 9 * len(comparison.arms)
    assert rendered.count("<li>") == 2 + len(checked) + len(remarks(comparison))


def test_in_json(comparison: Comparison, checked: list[Checked]) -> None:
    text = json.dumps(as_object(comparison, checked), allow_nan=False)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["arms"][0]["arm"] == HOSTILE


def test_the_table_fits_80_columns_and_loses_nothing() -> None:
    energies = {f"method_{n} prune_ratio=0.{n} " + "x" * 40: BEFORE for n in range(12)}
    spread = {name: [90.0, 1300.0, 2.0] for name in energies}
    comparison = compare(result_set("A", energies), result_set("B", spread))
    console = Console(width=80, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(comparison_terminal(comparison_table(comparison)))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line and line.rstrip().endswith("…") for line in lines)
    flat = re.sub(r"\s", "", captured.get())
    mean = comparison_table(comparison).rows[0][2]
    assert mean.text in flat


def test_notes_tell_versions_flags_and_the_same_folder() -> None:
    second = {
        "attempts": {"versions": json.dumps({"torch": "2.14.0", "new": "1"})},
        "runs": {"energy_flags": "other processes; throttled"},
    }
    comparison = compared(BEFORE, AFTER, **second)
    assert notes(comparison) == ["versions differ: torch (2.13.0 in A; 2.14.0 in B)"]
    assert warnings(comparison) == [
        "measurement of 3 runs in B: other processes",
        "measurement of 3 runs in B: throttled",
    ]
    first = result_set("A", {"dense": BEFORE})
    assert notes(compare(first, first)) == ["A and B are the same folder"]


def test_a_difference_in_accuracy_is_in_points() -> None:
    first = result_set("A", {"dense": BEFORE}, {"dense": [0.980, 0.970, 0.990]})
    second = result_set("B", {"dense": BEFORE}, {"dense": [0.975, 0.966, 0.984]})
    table = comparison_table(compare(first, second))
    assert table.header[1] == "Accuracy, points"
    assert table.rows[0][1].text == "−0.50"
    assert table.frame().loc[0, "score_difference"] == pytest.approx(-0.005)
