"""A machine of the stand-in for this very process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from tests.fakes.reader import NOW, Make
from tests.fakes.stand_in import StandIn


@pytest.fixture
def make(library: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes a machine in this process, at the virtual time NOW."""
    made: list[StandIn] = []

    def begin(gpus: int = 1, power_w=100.0, **settings: float) -> StandIn:
        path = tmp_path / f"state-{len(made)}"
        made.append(StandIn(path, gpus, power_w, clock_ns=NOW, **settings))
        made[-1].load(library)
        pynvml.nvmlInit()
        return made[-1]

    yield begin
    for machine in made:
        machine.close()
