"""Tables for spreadsheets: no text becomes a formula, no number becomes a text."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from harness.results.safe_csv import inert_csv


@pytest.mark.parametrize("text", ["=1+1", "+1+x", "-x", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C'!A0"])
def test_a_text_that_would_be_a_formula_is_quoted(text: str) -> None:
    csv = inert_csv(pd.DataFrame({"a": [text, "plain"], text: [1.5, -2.0]}))
    read = pd.read_csv(io.StringIO(csv))
    shown = f"'{text}".replace("\r", " ")
    assert list(read.columns) == ["a", shown]
    assert list(read["a"]) == [shown, "plain"]
    assert list(read[shown]) == [1.5, -2.0]


def test_numbers_among_texts_stay() -> None:
    table = pd.DataFrame({"a": ["-1.5", -2, None, "x", "+3e4", "-inf"]})
    assert inert_csv(table).splitlines()[1:] == ["-1.5", "-2", '""', "x", "+3e4", "-inf"]
