"""Channel masks of a run, from a journal written by hand: which count, and how far they moved."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.energy.sensors.base import Sensor
from harness.method.base import Method
from harness.method.phases import Budget, Inspect, Record
from harness.pruning.channel_mask import ChannelMask
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.masks import looks, mask_distances, ticket_rows
from harness.results.run_energy import Ledger
from harness.utils.jsonl import LogWriter
from methods.early_bird import EarlyBird

SECOND = 1_000_000_000
POWER_W = 40.0
SEARCH = {"bn_channel_mask": {"prune_ratio": 0.5}}
TICKET = {"bn_channel_mask": {"prune_ratio": 0.5, "round_to": 8}}


class Written:
    """A run of one event a second."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        self.events: list[dict[str, Any]] = []
        self.epochs = 0

    def event(self, name: str, **values: Any) -> Written:
        time_ns = (len(self.events) + 1) * SECOND
        self.events.append({"event": name, "time_ns": time_ns, **values})
        return self

    def attempt(self, number: int = 1, restored: int = 0) -> Written:
        return self.event("attempt", number=number, restored=restored)

    def epoch(self, trained: int) -> Written:
        return self.event("epoch", epochs_trained=trained, val_score=0.5)

    def look(self, *layers: str, question: dict[str, Any] = SEARCH) -> Written:
        mask = {str(name): bits for name, bits in enumerate(layers)}
        description = {"kind": "Inspect", "question": question}
        return self.event("answer", phase=0, description=description, answer={"channel_mask": mask})

    def search(self, *masks: str) -> Written:
        self.attempt()
        for trained, mask in enumerate(masks, start=1):
            self.epoch(trained).look(mask)
        return self

    def journal(self) -> Journal:
        self.folder.path.mkdir(exist_ok=True)
        lines = map(json.dumps, self.events)
        self.folder.journal.write_text("".join(f"{line}\n" for line in lines))
        return Journal(self.folder)

    def ledger(self) -> Ledger:
        self.event("end", status="done").journal()
        sensor = Sensor("GPU-0", "test", "gpu", "energy", "simulated", 0.05)
        trace = LogWriter(self.folder.trace(1))
        trace.append({"sensors": [sensor.to_json()], "notes": [], "period_s": 0.05})
        for tenth in range(10 * (len(self.events) + 2)):
            trace.append([0, tenth * SECOND // 10, tenth * POWER_W / 10])
        trace.close()
        return Ledger(self.folder)


@pytest.fixture
def run(tmp_path: Path) -> Written:
    return Written(tmp_path / "run")


def rows(run: Written, **hyperparameters: Any) -> list[dict[str, Any]]:
    return ticket_rows(run.ledger(), SimpleNamespace(hyperparameters=hyperparameters))  # type: ignore[arg-type]


def bits(journal: Journal) -> list[str]:
    return ["".join(look.mask.layers.values()) for look in looks(journal)]


def test_looks_are_the_answers_to_the_question_asked_most_often(run: Written) -> None:
    run.attempt().epoch(1).look("1100").look("1111", "0000", question=TICKET)
    run.epoch(3).look("1010").look("0110", question=TICKET).epoch(4).look("1001")
    found = looks(run.journal())
    assert [look.epochs_trained for look in found] == [1, 3, 4]
    assert [look.mask.layers["0"] for look in found] == ["1100", "1010", "1001"]
    assert [look.time_ns for look in found] == [3 * SECOND, 6 * SECOND, 9 * SECOND]


def test_masks_of_two_networks_are_not_compared(run: Written) -> None:
    run.attempt().epoch(1).look("110011").epoch(2).look("110011")
    run.event("size", parameters=4, macs=4, density=1.0)
    run.epoch(3).look("1100").epoch(4).look("1010").epoch(5).look("1001")
    assert bits(run.journal()) == ["1100", "1010", "1001"]


def test_a_mask_that_drops_nothing_is_no_look(run: Written) -> None:
    run.search("1111", "1111", "1101")
    assert bits(run.journal()) == ["1101"]
    assert rows(run) == []


def test_other_answers_are_passed_over(run: Written) -> None:
    run.attempt().epoch(1).event("answer", phase=0, description={}, answer=None)
    run.event("answer", phase=1, description={"question": {}}, answer={"value": [1]})
    assert looks(run.journal()) == []


def test_a_look_whose_work_was_lost_is_not_counted_twice(run: Written) -> None:
    run.attempt(1).epoch(1).event("checkpoint", number=1, phase=1, epoch=0).look("1100")
    run.attempt(2, restored=1).look("1010").epoch(2)
    run.event("checkpoint", number=2, phase=2, epoch=0).look("1001")
    found = looks(run.journal())
    assert bits(run.journal()) == ["1010", "1001"]
    assert [(look.attempt, look.epochs_trained) for look in found] == [(2, 1), (2, 2)]


def test_rows_by_hand(run: Written) -> None:
    run.search("11110000", "11101000", "11001100", "11001100")
    found = rows(run, window=3)
    assert [row["order"] for row in found] == [0, 1, 2, 3]
    assert [row["epochs_trained"] for row in found] == [1, 2, 3, 4]
    assert [row["kept"] for row in found] == [0.5] * 4
    assert [row["distance"] for row in found] == [None, 2 / 8, 2 / 8, 0.0]
    assert [row["largest_distance"] for row in found] == [None, None, 4 / 8, 2 / 8]
    # The journal begins after a second, and every event takes one.
    seconds = [2, 4, 6, 8]
    assert [row["energy_j"] for row in found] == pytest.approx([s * POWER_W for s in seconds])


@pytest.mark.parametrize("hyperparameters", [{}, {"window": 1}, {"window": 9}])
def test_without_a_full_fifo_there_is_no_largest_distance(
    run: Written, hyperparameters: dict[str, Any]
) -> None:
    run.search("1100", "1010", "1001")
    found = rows(run, **hyperparameters)
    assert [row["largest_distance"] for row in found] == [None] * 3
    assert [row["distance"] for row in found] == [None, 0.5, 0.5]


def drawn_after(method: Method, masks: list[str]) -> int | None:
    """The epoch after which a method says that its ticket emerged, if it looks at these masks."""
    answers = iter(masks)
    phases = method.phases(Budget(epochs=2 * len(masks)))
    phase = next(phases)
    while not isinstance(phase, Record):
        looked = isinstance(phase, Inspect)
        phase = phases.send(ChannelMask({"0": next(answers)}) if looked else None)
    return phase.facts["ticket_epoch"] if phase.facts["ticket_emerged"] else None


@pytest.mark.parametrize("window", [2, 3, 5])
def test_the_largest_distance_is_what_early_bird_decides_by(run: Written, window: int) -> None:
    """The ticket emerges at the first look whose largest distance is at most epsilon."""
    rng = np.random.default_rng(window)
    scores = rng.normal(size=200)
    masks = []
    for step in range(16):
        scores = scores + rng.normal(size=200) * 0.5 ** (step / 3)
        masks.append("".join("01"[int(score > 0)] for score in scores))
    method = EarlyBird(window=window, max_distance=0.05)
    under = [
        row["epochs_trained"]
        for row in rows(run.search(*masks), window=window)
        if row["largest_distance"] is not None and row["largest_distance"] <= method.max_distance
    ]
    assert 0 < len(under) < 16
    assert drawn_after(method, masks) == under[0]


def random_masks(count: int, channels: int, layers: int) -> list[ChannelMask]:
    rng = np.random.default_rng(0)
    width = channels // layers
    return [
        ChannelMask(
            {
                str(n): "".join("01"[bit] for bit in rng.integers(2, size=width))
                for n in range(layers)
            }
        )
        for _ in range(count)
    ]


def test_distances_are_those_of_each_pair() -> None:
    masks = random_masks(count=12, channels=300, layers=4)
    found = mask_distances(masks)
    expected = [[one.distance(other) for other in masks] for one in masks]
    assert found.tolist() == expected
    assert mask_distances([]).shape == (0, 0)


def test_masks_of_different_networks_have_no_distance() -> None:
    with pytest.raises(ValueError, match="reshape"):
        mask_distances([ChannelMask({"0": "110"}), ChannelMask({"0": "11"})])


def test_distances_in_a_long_search_of_a_wide_network(run: Written) -> None:
    masks = random_masks(count=160, channels=4000, layers=16)
    run.attempt()
    for trained, mask in enumerate(masks, start=1):
        run.epoch(trained).look(*mask.layers.values())
    ledger = run.ledger()
    spec: Any = SimpleNamespace(hyperparameters={"window": 5})
    found = ticket_rows(ledger, spec)
    assert len(found) == 160
    for before, after in pairwise(range(4, 8)):
        assert found[after]["distance"] == masks[after].distance(masks[before])
