"""Every code block of the how-to guides is executed, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.energy.sensors.rapl import ELSEWHERE
from tests.docs.pages import pages, try_page
from tests.fakes.rapl import FakeRapl

CLUSTER = "how-to/slurm.md"
CALIBRATED = "how-to/calibrate.md"
OTHERS = [page for page in pages("how-to") if page not in (CLUSTER, CALIBRATED)]


@pytest.mark.parametrize("page", OTHERS)
def test_every_block_of_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    try_page(page, tmp_path)


@pytest.mark.usefixtures("cluster")
def test_every_block_about_a_cluster_does_on_one_what_it_says(tmp_path: Path) -> None:
    try_page(CLUSTER, tmp_path)


def test_every_block_about_a_calibration_does_with_a_meter_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    rapl = FakeRapl(tmp_path / "powercap", {"intel-rapl:0": "package-0"})
    monkeypatch.setenv(ELSEWHERE, str(rapl.path))
    with rapl.turning(), rapl.loaded(lambda threads: 40 + 12 * threads**0.5):
        try_page(CALIBRATED, tmp_path)
