"""Every code block of the how-to guides is executed, in order."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.energy.sensors import rapl, sysfs
from tests.docs.pages import SMALL, pages, try_page
from tests.fakes.controller import FakeController
from tests.fakes.laptop import FakeBattery
from tests.fakes.plug import FakePlug
from tests.fakes.rapl import FakeRapl

CLUSTER = "how-to/slurm.md"
CALIBRATED = "how-to/calibrate.md"
PLUG = "how-to/smart-plug.md"
LAPTOP = "how-to/laptop.md"
SERVER = "how-to/server.md"
DEVICE = "how-to/small-device.md"
OTHERS = {*pages("how-to")} - {CLUSTER, CALIBRATED, PLUG, LAPTOP, SERVER, DEVICE}


@pytest.mark.parametrize("page", sorted(OTHERS))
def test_every_block_of_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    try_page(page, tmp_path)


def test_every_block_about_a_small_device_does_what_it_says(tmp_path: Path) -> None:
    try_page(DEVICE, tmp_path)
    report = tmp_path / "results" / "ticket" / "report"
    assert (report / "figures" / "lifetime.svg").exists()
    table = (report / "tables" / "inferences.csv").read_text()
    assert table.count("onnxruntime on cpu, threads 1, batch 1") == 2


@pytest.mark.usefixtures("cluster")
def test_every_block_about_a_cluster_does_on_one_what_it_says(tmp_path: Path) -> None:
    try_page(CLUSTER, tmp_path)


def test_every_block_about_a_calibration_does_with_a_meter_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    powercap = FakeRapl(tmp_path / "powercap", {"intel-rapl:0": "package-0"})
    monkeypatch.setenv(rapl.ELSEWHERE, str(powercap.path))
    with powercap.turning(), powercap.loaded(lambda threads: 40 + 12 * threads**0.5):
        try_page(CALIBRATED, tmp_path)


def test_every_block_about_a_plug_does_on_one_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakePlug("shelly2", power_w=60.0) as plug:
        plug.is_live = True
        monkeypatch.setitem(SMALL, PLUG, [("shelly://192.168.1.20", plug.address)])
        try_page(PLUG, tmp_path)
    assert plug.asked


def test_every_block_about_a_laptop_does_on_one_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeBattery(tmp_path / "sys", power_w=12.0).turn_to(0)
    monkeypatch.setenv(sysfs.ELSEWHERE, str(tmp_path / "sys"))
    try_page(LAPTOP, tmp_path)


def test_every_block_about_a_server_does_on_one_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeController(login="reader:secret") as controller:
        controller.turn_to(time.monotonic_ns())
        monkeypatch.setitem(SMALL, SERVER, [("redfish://bmc.example.org", controller.address)])
        try_page(SERVER, tmp_path)
    assert controller.asked
