"""Every code block of the tutorials is executed, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import pages, try_page


@pytest.mark.parametrize("page", pages(".", "tutorials", "explanation", "reference"))
def test_every_block_of_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    try_page(page, tmp_path)
