"""What studies and documentation quote of the Early-Bird paper agrees with its own tables."""

from __future__ import annotations

import math
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from harness.study.choose import built_in_studies, choose_study
from harness.study.claim_registry import registered_claims
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES: dict[str, Any] = tomllib.loads(
    (REPOSITORY / "tests" / "papers" / "early_bird.toml").read_text("utf-8")
)
OF = {
    "VGG-16 on CIFAR-100": "vgg16 cifar100",
    "VGG-16 on CIFAR-10": "vgg16 cifar10",
    "ResNet-18 on ImageNet": "torchvision/resnet18 imagenet",
}
"""What a claim's source calls a table; the longer name first."""
PAGE = REPOSITORY / "docs" / "explanation" / "early-bird.md"
COMPARABLE = (-0.5, 0.0)
"""Bounds on accuracy that stand for words, not for a figure."""


def quoted() -> Iterator[Any]:
    """Every registered claim of a table of the paper, as a study's report asks it."""
    for claim in registered_claims():
        if claim.source.startswith("You et al.") and claim.workload in OF:
            yield pytest.param(claim.asked, id=f"{claim.test.study}: {claim.id}")


def table_of(source: str) -> Any:
    return TABLES[next(key for words, key in OF.items() if words in source)]


def row_of(arm: str, table: Any) -> str:
    """The paper's row for an arm; SNIP's cost is dense training's where dense has no row."""
    if "low_precision=all" in arm or "int8_simulated" in arm:
        return "early_bird_8_bits"
    method = arm.split()[0]
    return method if method in table["cost"] else "snip"


def column_of(claim: Any, table: Any) -> int:
    found = re.search(r"prune_ratio=([\d.]+)", claim.arm)
    assert found
    return list(table["prune_ratio"]).index(float(found[1]))


@pytest.mark.parametrize("claim", list(quoted()))
def test_a_claim_holds_on_the_papers_own_numbers(claim: Any) -> None:
    table = table_of(claim.source)
    column = column_of(claim, table)
    assert f"p = {table['prune_ratio'][column] * 100:g} %" in claim.text
    rows = [row_of(arm, table) for arm in (claim.arm, claim.against)]
    if "with 8 bits" in claim.text:
        rows[0] = "early_bird_8_bits"
    cost = [table["cost"][row][column] for row in rows]
    accuracy = [table["accuracy"][row][column] for row in rows]
    points = accuracy[0] - accuracy[1]
    if claim.points_at_least is not None:
        assert points >= claim.points_at_least - 1e-9
        if claim.points_at_least not in COMPARABLE:
            assert points - claim.points_at_least < 0.1
    if claim.energy_at_most is None:
        return
    times = re.search(r"([\d.]+) times less", claim.text)
    if "as printed" in claim.source:
        printed = table["printed"]
        assert times
        assert float(times[1]) == printed.get("times", [printed.get("times_at_last")] * 3)[column]
    else:
        assert cost[0] / cost[1] <= claim.energy_at_most
        if times:
            assert float(times[1]) == math.floor(10 * cost[1] / cost[0]) / 10
    if times:
        assert claim.energy_at_most == pytest.approx(1 / float(times[1]), abs=6e-4)
    else:
        at = re.search(r"at ([\d.]+) times its cost", claim.text)
        assert at
        assert claim.energy_at_most == float(at[1])
        assert float(at[1]) - cost[0] / cost[1] < 0.01


@pytest.mark.parametrize("claim", list(quoted()))
def test_the_figures_in_a_claims_source_are_the_papers(claim: Any) -> None:
    table = table_of(claim.source)
    column = column_of(claim, table)
    rows = [row_of(arm, table) for arm in (claim.arm, claim.against)]
    for unit, kind, half in ((r"kJ|PFLOPs", "cost", 0.5), ("%", "accuracy", 0.005)):
        for pair in re.findall(rf"([\d.]+) against ([\d.]+) (?:{unit})", claim.source):
            expected = [table[kind][row][column] for row in rows]
            assert list(map(float, pair)) == pytest.approx(expected, abs=half + 1e-9)


def test_every_study_of_the_paper_quotes_its_table() -> None:
    names = [str(each.id) for each in quoted()]
    for name in ("paper-vgg16-cifar10", "paper-vgg16-cifar100", "paper-resnet18-imagenet"):
        assert sum(each.startswith(f"{name}:") for each in names) >= 3


def test_the_headline_is_tested_where_it_is_printed() -> None:
    """10.7 stands beside 370.6 and 44.4 kJ, which is 8.3; each claim that quotes it says where."""
    table = TABLES["vgg16 cifar100"]
    assert table["printed"]["times"][2] == 10.7
    times = table["cost"]["snip"][2] / table["cost"]["early_bird_8_bits"][2]
    assert math.floor(10 * times) / 10 == 8.3
    study, _ = choose_study(("decompose-headline",), (), (), (), ())
    assert (study.workload.data, study.workload.model) == ("cifar100", "vgg16")
    for name in built_in_studies():
        study, _ = choose_study((name,), (), (), (), ())
        for claim in study.report.claims:
            if claim.text.startswith('"10.7 times less'):
                assert "prune_ratio=0.5" in claim.arm
                assert "printed" in claim.source
                assert claim.energy_at_most == pytest.approx(1 / 10.7, abs=6e-5)


@pytest.mark.parametrize("heading", ["CIFAR-10", "CIFAR-100"])
def test_the_documentations_tables_are_the_papers(heading: str) -> None:
    text = PAGE.read_text("utf-8")
    table = TABLES[f"vgg16 {heading.lower().replace('-', '')}"]
    part = re.split(r"VGG-16 on (CIFAR-\d+)", text)
    block = part[part.index(heading) + 1].split("\n\n- ")[0]
    names = {
        "SNIP": "snip",
        "Lottery ticket": "lottery_ticket",
        "Network Slimming": "progressive",
        "Early-Bird, full": "early_bird",
        "Early-Bird, 8 bits": "early_bird_8_bits",
    }
    for words, row in names.items():
        lines = [line.replace("*", "") for line in block.splitlines()]
        [line] = [each for each in lines if each.startswith("|") and words in each]
        _, _, energy, accuracy, _ = (cell.strip(" *") for cell in line.split("|"))
        costs = [float(cell) for cell in energy.split(" / ")]
        expected = table["cost"][row][: len(costs)]
        assert costs == pytest.approx(expected, abs=0.5 + 1e-9)
        assert [float(cell) for cell in accuracy.split(" / ")] == table["accuracy"][row]
