"""The RAPL folder of the tests: counters that follow a known power and wrap."""

from __future__ import annotations

import time

import pytest

from tests.fakes.rapl import RANGE_UJ, FakeRapl, server

SECOND = 1_000_000_000


def uj(rapl: FakeRapl, zone: str) -> int:
    return int((rapl.path / zone / "energy_uj").read_text())


def test_counters_follow_their_power_and_wrap(tmp_path) -> None:
    rapl = FakeRapl(tmp_path, server(), {"intel-rapl:0": 200.0, "intel-rapl:0:2": 10.0})
    package = rapl["intel-rapl:0"]
    package.draw(100.0, at_ns=SECOND)
    rapl.turn_to(2 * SECOND)
    assert uj(rapl, "intel-rapl:0") == 300_000_000
    assert uj(rapl, "intel-rapl:0:2") == uj(rapl, "intel-rapl:0/intel-rapl:0:2") == 20_000_000
    assert uj(rapl, "intel-rapl:1") == 0
    package.offset_uj = RANGE_UJ - 300_000_000
    rapl.turn_to(2 * SECOND)
    assert uj(rapl, "intel-rapl:0") == RANGE_UJ
    rapl.turn_to(2 * SECOND + 10_000)
    assert uj(rapl, "intel-rapl:0") == 999  # RANGE_UJ + 1000 wraps past 0


def test_who_keeps_the_file_open_sees_it_turn(tmp_path) -> None:
    rapl = FakeRapl(tmp_path, {"intel-rapl:0": "package-0"}, 100.0)
    rapl.turn_to(1000 * SECOND)
    with (tmp_path / "intel-rapl:0" / "energy_uj").open() as file:
        assert int(file.read()) == 100_000_000_000
        rapl["intel-rapl:0"].offset_uj = RANGE_UJ - 100_000_000_000 + 8  # a shorter number
        rapl.turn_to(1000 * SECOND)
        file.seek(0)
        assert int(file.read()) == 7


def test_a_server_shows_what_overlaps_too(tmp_path) -> None:
    rapl = FakeRapl(tmp_path, server(dies=2))
    names = {zone: (rapl.path / zone / "name").read_text().strip() for zone in rapl.zones}
    assert names["intel-rapl:1"] == "package-0-die-1"
    assert names["intel-rapl:3:2"] == "dram"
    assert names["intel-rapl:4"] == "psys"
    assert names["intel-rapl-mmio:0"] == "package-0"


def test_a_thread_turns_it(tmp_path) -> None:
    rapl = FakeRapl(tmp_path, {"intel-rapl:0": "package-0"}, 100.0, range_uj=2**60)
    zone = rapl["intel-rapl:0"]
    with rapl.turning():
        first_uj = uj(rapl, "intel-rapl:0")
        time.sleep(0.3)
        due_uj = zone.counter_uj(time.monotonic_ns())
        assert due_uj - first_uj > 29e6
        # It gets there, however busy the machine is, and is never ahead of the time.
        while (shown_uj := uj(rapl, "intel-rapl:0")) < due_uj:
            time.sleep(0.001)
        assert shown_uj <= zone.counter_uj(time.monotonic_ns())


def test_reading_can_be_forbidden(tmp_path) -> None:
    rapl = FakeRapl(tmp_path, {"intel-rapl:0": "package-0"})
    with rapl.as_nobody():
        assert uj(rapl, "intel-rapl:0") == 0
    rapl.forbid()
    with rapl.as_nobody(), pytest.raises(PermissionError):
        uj(rapl, "intel-rapl:0")
    rapl.permit()
    with rapl.as_nobody():
        assert uj(rapl, "intel-rapl:0") == 0
