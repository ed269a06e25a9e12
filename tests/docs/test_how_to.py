"""Every code block of the how-to guides is executed, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import pages, try_page

CLUSTER = "how-to/slurm.md"


@pytest.mark.parametrize("page", [page for page in pages("how-to") if page != CLUSTER])
def test_every_block_of_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    try_page(page, tmp_path)


@pytest.mark.usefixtures("cluster")
def test_every_block_about_a_cluster_does_on_one_what_it_says(tmp_path: Path) -> None:
    try_page(CLUSTER, tmp_path)
