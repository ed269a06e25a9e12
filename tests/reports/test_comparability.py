"""No number for what is not comparable, and the reason instead."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reports.statistics.comparison import compare
from reports.tables.comparison import as_object, comparison_table
from reports.text.comparison import barriers, notes
from tests.reports.compared import (
    AFTER,
    BEFORE,
    compared,
    result_set,
    spec,
)

METRICS = ("score", "energy", "time", "co2e")


@pytest.mark.parametrize(
    ("runs", "why", "barred"),
    [
        (
            {"energy_scope": "cpu+gpu"},
            "energy scope differs (gpu in A; cpu+gpu in B)",
            "energy co2e",
        ),
        (
            {"energy_source": "estimated"},
            "standing of the energy differs (measured in A; estimated in B)",
            "energy co2e",
        ),
        ({"energy_source": "simulated"}, "(measured in A; simulated in B)", "energy co2e"),
        (
            {"energy_device": "NVIDIA A100"},
            "measured device differs (NVIDIA H100 in A; NVIDIA A100 in B)",
            "energy co2e",
        ),
        (
            {"carbon_basis": "FRA"},
            "carbon factor differs (world average in A; FRA in B)",
            "co2e",
        ),
        (
            {"energy_j": math.nan, "co2e_kg": math.nan},
            "energy is unknown or 0 in B",
            "energy co2e",
        ),
        ({"co2e_kg": 0.0}, "CO2e is unknown or 0 in B", "co2e"),
        ({"test_score": None}, "accuracy is unknown in B", "score"),
        ({"status": "failed"}, "no finished run in B", "score energy time co2e"),
    ],
)
def test_what_differs_bars_what_it_decides(runs: dict[str, Any], why: str, barred: str) -> None:
    comparison = compared(BEFORE, AFTER, runs=runs)
    changes = comparison.arms[0].changes
    for metric in METRICS:
        is_barred = metric in barred.split()
        assert bool(changes[metric].reasons) is is_barred
        assert (changes[metric].found is None) is is_barred
    first_barred = changes[barred.split()[0]]
    assert any(why in reason for reason in first_barred.reasons)
    record = as_object(comparison, [])["arms"][0]
    for metric in barred.split():
        numbers = {record[metric][key] for key in ("change", "low", "high", "mean_a", "mean_b")}
        assert numbers == {None}


@pytest.mark.parametrize(
    ("attempts", "why"),
    [
        ({"device_name": "NVIDIA A100"}, "(cuda NVIDIA H100 in A; cuda NVIDIA A100 in B)"),
        ({"device": "cpu", "device_name": "", "threads": 2}, "in A; cpu with 2 threads in B)"),
    ],
)
def test_another_computing_device_bars_all_but_accuracy(attempts: dict[str, Any], why: str) -> None:
    changes = compared(BEFORE, AFTER, attempts=attempts).arms[0].changes
    assert changes["score"].found is not None
    for metric in ("energy", "time", "co2e"):
        assert changes[metric].found is None
        assert why in changes[metric].reasons[0]


def test_threads_matter_on_a_processor_only() -> None:
    assert compared(BEFORE, AFTER, attempts={"threads": 2}).arms[0].changes["time"].found
    cpu = {"device": "cpu", "device_name": ""}
    first = result_set("A", {"dense": BEFORE}, runs={"device": "cpu"}, attempts=cpu)
    second = result_set(
        "B", {"dense": AFTER}, runs={"device": "cpu"}, attempts=cpu | {"threads": 2}
    )
    reasons = compare(first, second).arms[0].changes["time"].reasons
    assert reasons == (
        "computing device differs (cpu with 8 threads in A; cpu with 2 threads in B)",
    )


def test_times_of_other_hosts_with_another_processor_are_not_compared() -> None:
    cpu = {"device": "cpu", "energy_scope": "cpu", "energy_device": "AMD EPYC"}
    tried = {"device": "cpu", "device_name": ""}
    first = result_set("A", {"dense": BEFORE}, runs=cpu, attempts=tried)
    for host, comparable in (("node1", True), ("node2", False)):
        second = result_set(
            "B",
            {"dense": AFTER},
            runs=cpu | {"energy_device": "Intel Xeon"},
            attempts=tried | {"host": host},
        )
        changes = compare(first, second).arms[0].changes
        assert (changes["time"].found is not None) is comparable
        assert changes["energy"].found is None


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 20},
        {"batch_size": 64},
        {"precision": "bf16"},
        {"data": "mnist"},
        {"model": "resnet18"},
        {"image_size": 64},
        {"validation_share": 0.2},
        {"gamma_init": 1.0},
    ],
    ids=str,
)
def test_another_workload_bars_everything(settings: dict[str, Any]) -> None:
    comparison = compared(BEFORE, AFTER, specs={"dense": spec(**settings)})
    arm = comparison.arms[0]
    (key,) = settings
    assert all(key in change.reasons[0] for change in arm.changes.values())
    assert math.isnan(arm.parameters)
    assert [cell.text for cell in comparison_table(comparison).rows[0][1:7]] == ["–"] * 6


@pytest.mark.parametrize(
    "settings", [{"root": "/elsewhere"}, {"download": True}, {"workers": 9}], ids=str
)
def test_whereabouts_do_not_matter(settings: dict[str, Any]) -> None:
    comparison = compared(BEFORE, AFTER, specs={"dense": spec(**settings)})
    assert barriers(comparison) == notes(comparison) == []


def test_ways_of_execution_are_compared_and_named() -> None:
    comparison = compared(BEFORE, AFTER, specs={"dense": spec(compile=True)})
    assert barriers(comparison) == []
    (message,) = notes(comparison)
    assert message == (
        "dense: training.compile differs (False in A; default in B); the changes include its effect"
    )


def test_another_folder_of_images_is_named() -> None:
    first = result_set("A", {"dense": BEFORE}, specs={"dense": spec(data="folder", root="/a")})
    second = result_set("B", {"dense": BEFORE}, specs={"dense": spec(data="folder", root="/b")})
    assert "workload.root differs (/a in A; /b in B)" in notes(compare(first, second))[0]


def test_counter_and_sampled_power_are_both_measured() -> None:
    comparison = compared(BEFORE, AFTER, runs={"energy_source": "counter+sampled"})
    assert comparison.arms[0].changes["energy"].found is not None
    assert comparison.arms[0].standing == "measured"


def test_runs_of_one_side_that_differ_are_no_mean() -> None:
    first, second = (result_set(side, {"dense": BEFORE}) for side in "AB")
    for side in (first, second):
        side.runs["energy_scope"] = ["gpu", "gpu", "cpu+gpu"]
    reasons = compare(first, second).arms[0].changes["energy"].reasons
    assert reasons == ("runs differ in energy scope (cpu+gpu; gpu)",)


def test_all_gpus_are_not_the_used_one() -> None:
    reasons = compared(BEFORE, AFTER, specs={"dense": spec(gpus="all")}).arms[0].changes
    assert reasons["energy"].reasons == ("energy.gpus differs (used in A; all in B)",)
    assert reasons["time"].found is not None


def test_reasons_are_reported_once() -> None:
    energies = {"dense": BEFORE, "rigl": BEFORE, "snip": BEFORE}
    specs = {name: spec(name) for name in energies} | {"snip": spec("snip", epochs=9)}
    first = result_set("A", energies)
    second = result_set("B", energies, specs=specs, runs={"energy_scope": "cpu"})
    every, one = barriers(compare(first, second))
    assert every == (
        "energy and CO2e of every method are not comparable because energy scope differs (gpu "
        "in A; cpu in B)"
    )
    assert one == (
        "accuracy, energy, time and CO2e of snip are not comparable because training.epochs "
        "differs (160 in A; 9 in B)"
    )
    second = result_set("B", {"dense": BEFORE}, runs={"carbon_basis": "FRA"})
    assert barriers(compare(first, second))[0].endswith(
        "(world average in A; FRA in B), but accuracy, energy and time are"
    )
