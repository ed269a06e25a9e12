"""How often a run is evaluated and saved follows from the epochs it trains, not from its phases.

What the page on fairness promises, over all methods that there are.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness import (
    Budget,
    Finished,
    Method,
    Record,
    Rewind,
    Snapshot,
    Train,
    UsageError,
    bn_channel_mask,
)
from harness.method.dry_run import foreseen_phases
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.results.journal_writer import JournalWriter
from harness.runner.phase_executor import PhaseContext
from harness.runner.run_method import run_method
from harness.settings.metric import ACCURACY
from harness.settings.settings import Training, WorkloadChoice
from harness.study.registry import Registry
from harness.training.checkpoint import Checkpoint
from harness.training.state import TrainingState
from harness.workloads.resident import Resident
from harness.workloads.source import Source
from harness.workloads.workload import Workload, open_workload

RECIPE = Training(epochs=7, batch_size=512, learning_rate=0.05, evaluate_epochs=3)
RECIPE = RECIPE.model_copy(update={"checkpoint_epochs": 4})
OF_TRANSFORMERS = {"layer_dropping", "random_ltd"}
EVERY_METHOD = [name for name in Registry.discover().names() if name not in OF_TRANSFORMERS]
CHOSEN: dict[str, dict[str, Any]] = {
    "dense_short": {"share": 0.5},
    "progressive_resizing": {"initial_scale": 0.7, "multiple": 1},
    "prune_train": {"interval": 2},
    "synflow": {"iterations": 2},
}


@pytest.fixture(scope="module")
def workload() -> Workload:
    """A few digits and a small network."""
    choice = WorkloadChoice(data="digits", model="vgg_small")
    whole = open_workload(choice, RECIPE, torch.device("cpu"))
    return replace(
        whole,
        train=_few(whole.train, 16),
        validation=_few(whole.validation, 16),
        test=_few(whole.test, 16),
        _builder=_network,
    )


def _network(channels: int, classes: int) -> nn.Module:
    widths = (channels, 16, 24)
    layers: list[nn.Module] = []
    for fan_in, width in pairwise(widths):
        layers += [nn.Conv2d(fan_in, width, 3), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, classes))


def _few(source: Source, count: int) -> Resident:
    assert isinstance(source, Resident)
    return replace(source, padded=source.padded[:count], labels=source.labels[:count])


class _Stop(BaseException):
    pass


class _Journal(JournalWriter):
    """Ends the run at the n-th event."""

    def __init__(self, path: Path, events: int | None) -> None:
        super().__init__(path, lambda: None)
        self._left = events

    def event(self, name: str, /, *, durable: bool = False, **values: Any) -> None:
        super().event(name, durable=durable, **values)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise _Stop


def run(method: Method, workload: Workload, path: Path, stop_at: int | None = None) -> Journal:
    """Go on with a run to its end, or until a number of events have happened."""
    folder = RunFolder(path)
    start = Checkpoint.load(folder.checkpoint, torch.device("cpu"))
    state = TrainingState(workload, RECIPE, 0, folder.snapshot)
    if start:
        state.load_state_dict(start.state)
    journal = _Journal(folder.journal, stop_at)
    number = len(Journal(folder).attempts) + 1
    try:
        journal.event("attempt", number=number, restored=start.number if start else 0)
        ticket = bn_channel_mask(0.5, 8, 8)(state.network, workload.train.sample(1, 0))
        context = PhaseContext(
            workload, RECIPE, 0, state, journal, lambda _: Finished(1.0, 1, ticket)
        )
        run_method(method, context, folder, start)
    except _Stop:
        pass
    return Journal(folder)


def trained(journal: Journal) -> int:
    """How many epochs the run trained in all."""
    return int(journal.events("result")[0]["epochs_trained"])


def is_changed_after_training(journal: Journal) -> bool:
    last = max(event["time_ns"] for event in journal.events("epoch") if "loss" in event)
    return any(event["time_ns"] > last for event in journal.events("size"))


@pytest.fixture(scope="module", params=EVERY_METHOD)
def journal(
    request: pytest.FixtureRequest, workload: Workload, tmp_path_factory: pytest.TempPathFactory
) -> Journal:
    """A finished run of each method."""
    method = Registry.discover().get(request.param)(**CHOSEN.get(request.param, {}))
    return run(method, workload, tmp_path_factory.mktemp(request.param))


def test_evaluations_and_checkpoints_follow_from_the_epochs_trained(journal: Journal) -> None:
    epochs = trained(journal)
    windows = [event["window"] for event in journal.events("border")]
    changed = is_changed_after_training(journal)
    at_the_end = int(changed or epochs % RECIPE.evaluate_epochs > 0)
    assert windows.count("evaluation") == epochs // RECIPE.evaluate_epochs + at_the_end
    assert len(list(journal.evaluations())) == windows.count("evaluation")
    saved_at_the_end = int(changed or epochs % RECIPE.checkpoint_epochs > 0)
    saved = epochs // RECIPE.checkpoint_epochs + saved_at_the_end
    assert len(journal.events("checkpoint")) == windows.count("checkpoint") == saved
    assert windows.count("test") == 1


def test_the_end_of_a_run_is_evaluated(journal: Journal) -> None:
    *_, (_, last) = journal.evaluations()
    [result] = journal.events("result")
    assert last["val_score"] == result["val_score"]
    assert last["epochs_trained"] == result["epochs_trained"]
    assert journal.metric == ACCURACY
    assert len(journal.events("metric")) == 1
    epochs = [event["epochs_trained"] for event in journal.events("epoch") if "loss" in event]
    assert epochs == list(range(1, trained(journal) + 1)), "every epoch is on record"


class Looks(Method):
    """Decides by the accuracy of two of its phases."""

    def phases(self, _budget: Budget) -> Any:
        first = yield Train("first", epochs=1, evaluate=True)
        nothing = yield Train("nothing", epochs=0, evaluate=True)
        second = yield Train("second", epochs=1, evaluate=True)
        third = yield Train("third", epochs=2, evaluate=True)
        yield Record({"first": first.val_accuracy, "nothing": nothing.val_accuracy})
        yield Record({"second": second.val_accuracy, "third": third.val_accuracy})


def test_a_method_that_reads_the_accuracy_pays_for_it(workload: Workload, tmp_path: Path) -> None:
    journal = run(Looks(), workload, tmp_path)
    by_epoch = {e["epochs_trained"]: e["val_score"] for _, e in journal.evaluations()}
    assert list(by_epoch) == [1, 2, 3, 4]
    first, second = (event["facts"] for event in journal.events("record"))
    assert first == {"first": by_epoch[1], "nothing": by_epoch[1]}
    assert second == {"second": by_epoch[2], "third": by_epoch[4]}
    windows = [event["window"] for event in journal.events("border")]
    assert windows.count("evaluation") == 4, "none twice of the same network"


class Assumes(Method):
    """Reads an accuracy that it did not ask for."""

    def phases(self, _budget: Budget) -> Any:
        answer = yield Train("train", epochs=1)
        yield Record({"accuracy": answer.val_accuracy})


def test_an_accuracy_that_was_not_asked_for_is_refused_before_training() -> None:
    with pytest.raises(UsageError, match=r"methods\.assumes: .*evaluate=True"):
        foreseen_phases(Assumes(), Budget(epochs=4))


class Returns(Method):
    """Rewinds to a snapshot, and takes another one under its name."""

    def phases(self, _budget: Budget) -> Any:
        yield Train("train", epochs=1)
        yield Snapshot("there")
        yield Train("train", epochs=3)
        yield Rewind("there")
        yield Train("train", epochs=1)
        yield Snapshot("there")
        yield Train("train", epochs=1)
        yield Rewind("there")
        yield Train("train", epochs=1)


def weights(path: Path) -> dict[str, torch.Tensor]:
    saved = Checkpoint.load(RunFolder(path).checkpoint, torch.device("cpu"))
    assert saved is not None
    return dict(saved.state["network"])


def test_a_resumed_run_finds_the_snapshot_that_it_rewinds_to(
    workload: Workload, tmp_path: Path
) -> None:
    """Stopped at any event, and run to its end: the second snapshot never stands in for the first.

    The newest checkpoint may be older than the first rewinding.
    """
    (tmp_path / "whole").mkdir()
    events = len(run(Returns(), workload, tmp_path / "whole").attempts[0].events)
    expected = weights(tmp_path / "whole")
    for stop in range(2, events, 5):
        path = tmp_path / str(stop)
        path.mkdir()
        run(Returns(), workload, path, stop_at=stop)
        journal = run(Returns(), workload, path)
        found = weights(path)
        assert all(torch.equal(value, expected[key]) for key, value in found.items()), stop
        assert trained(journal) == 7


def test_a_journal_of_an_older_version_describes_the_same_phases() -> None:
    """Its journal describes phases without what they could not be asked for then."""
    phase = Train("train", epochs=2)
    older = {key: value for key, value in phase.describe().items() if key != "evaluate"}
    assert phase.is_described_by(older)
    assert not phase.is_described_by({**older, "epochs": 3})
    assert not Train("train", epochs=2, evaluate=True).is_described_by(older)
