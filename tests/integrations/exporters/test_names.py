"""Names are safe wherever they go, and none takes another's place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.integrations.exporters.tracked import plain_keys, shortened
from harness.results.energy_source import EnergyKinds


@given(st.lists(st.text(max_size=300), unique=True, max_size=20))
def test_every_key_becomes_a_plain_one_of_its_own(keys: list[str]) -> None:
    plain = plain_keys(keys)
    assert list(plain) == keys
    assert len(set(plain.values())) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,249}", key) for key in plain.values())


def test_a_plain_key_stays_as_it_is() -> None:
    assert plain_keys(["energy_j", "training.epochs", "co2e_kg_USA/ohio"]) == {
        "energy_j": "energy_j",
        "training.epochs": "training.epochs",
        "co2e_kg_USA/ohio": "co2e_kg_USA_ohio",
    }


@given(st.text(max_size=40), st.text(max_size=40))
def test_short_texts_stay_and_long_ones_differ_where_they_did(one: str, other: str) -> None:
    assert shortened(one, 40) == one
    assert len(shortened(one * 9, 20)) <= 20
    assert (shortened(one * 9, 20) == shortened(other * 9, 20)) == (one == other)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("counter", "measured"),
        ("counter+sampled", "measured"),
        ("estimated", "estimated"),
        ("simulated", "simulated"),
        ("counter+estimated", "partly estimated"),
        ("counter+simulated", "partly simulated"),
        ("estimated+simulated", "simulated"),
        ("none", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        ("telepathy", "estimated"),
    ],
)
def test_the_weakest_source_decides_the_word(source: str | None, word: str) -> None:
    assert EnergyKinds.of_source(source).adjective == word
