"""Watts of a thread by the CPU's name, in CodeCarbon's table."""

from __future__ import annotations

import os
from importlib.resources import files

import pandas as pd
import pytest

from harness.energy.sensors import estimate
from harness.energy.sensors.estimate import watts_per_thread


def machine(monkeypatch, tmp_path, name: str, siblings: int, flags: str = "fpu sse") -> None:
    """Pretend to run on another CPU."""
    info = tmp_path / "cpuinfo"
    processor = (
        f"processor\t: 0\nmodel name\t: {name}\nsiblings\t: {siblings}\nflags\t\t: {flags}\n"
    )
    info.write_text(processor * 2)
    monkeypatch.setattr(estimate, "CPU_INFO", info)


@pytest.mark.parametrize(
    ("name", "design_power_w"),
    [
        ("AMD EPYC 7763 64-Core Processor", 280),
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", 135),
        ("AMD Ryzen 9 5950X 16-Core Processor", 105),
        ("Intel(R) Core(TM) Ultra 7 155H", 28),
        ("12th Gen Intel(R) Core(TM) i7-12700H", 45),
        ("AMD Ryzen 7 PRO 4750U with Radeon Graphics", 15),
    ],
)
def test_watts_are_design_power_by_thread(monkeypatch, tmp_path, name, design_power_w) -> None:
    """Of one socket's threads, however many sockets there are."""
    machine(monkeypatch, tmp_path, name, siblings=8)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    watts, note = watts_per_thread()
    assert watts == design_power_w / 8
    assert name in note


def test_a_virtual_machine_gets_the_fallback_since_it_hides_threads(monkeypatch, tmp_path) -> None:
    machine(monkeypatch, tmp_path, "AMD EPYC 7763 64-Core Processor", 2, flags="fpu hypervisor sse")
    watts, note = watts_per_thread()
    assert watts == 4
    assert "virtual machine" in note


@pytest.mark.parametrize("name", ["AMD EPYC", "Intel(R) Xeon(R) Processor @ 2.20GHz", "x86_64", ""])
def test_cpu_that_is_not_in_the_table_gets_the_fallback(monkeypatch, tmp_path, name) -> None:
    machine(monkeypatch, tmp_path, name, siblings=8)
    watts, note = watts_per_thread()
    assert watts == 4
    assert "fallback" in note


def odd_names() -> list[str]:
    """CPUs whose figure in CodeCarbon's table is no positive number, such as "27.29.5"."""
    table = pd.read_csv(str(files("codecarbon").joinpath("data", "hardware", "cpu_power.csv")))
    return table.loc[~(pd.to_numeric(table["TDP"], errors="coerce") > 0), "Name"].tolist()


@pytest.mark.parametrize("name", odd_names())
def test_cpu_without_a_usable_figure_gets_the_fallback(monkeypatch, tmp_path, name) -> None:
    machine(monkeypatch, tmp_path, name, siblings=8)
    assert watts_per_thread()[0] == 4
