"""Two processes hold the same network at every step, and it is the one that one process trains."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.workloads.source import Part
from tests import prepared
from tests.conftest import REPOSITORY

SCRIPT = Path(__file__).with_name("two_ranks.py")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """What one process holds, then the first and the second of two."""
    folders = {number: tmp_path_factory.mktemp(f"by-{number}") for number in (1, 2)}
    for number, folder in folders.items():
        subprocess.run(
            [prepared.python(), str(SCRIPT), str(number), str(folder)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            check=True,
        )
    files = (folders[1] / "0.pt", folders[2] / "0.pt", folders[2] / "1.pt")
    alone, first, second = (torch.load(file) for file in files)
    return alone, first, second


def test_both_would_draw_the_same_ticket_and_hold_the_same_weights(held) -> None:
    _, first, second = held
    for what in ("drawn", "decided", "searched", "weights", "masks", "average"):
        assert first[what].keys() == second[what].keys()
        for name, one in first[what].items():
            other = second[what][name]
            assert one == other if isinstance(one, str) else torch.equal(one, other), name
    assert first["val_score"] == second["val_score"]


def test_they_are_those_of_one_process_but_for_the_order_of_sums(held) -> None:
    alone, first, _ = held
    for name, tensor in alone["searched"].items():
        # Of biases after one step little is left but rounding; a wrong gradient is off by its size.
        error = tensor.double() - first["searched"][name].double()
        assert float(error.norm()) < 1e-2 * (float(tensor.double().norm()) + 1e-6), name


@pytest.mark.parametrize("count", [0, 1, 7, 64])
@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_parts_tile_what_they_share(count: int, of: int) -> None:
    parts = [Part(rank, of) for rank in range(of)]
    things = list(range(count))
    assert [thing for part in parts for thing in things[part.among(count)]] == things
    sizes = [part.size(count) for part in parts]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
