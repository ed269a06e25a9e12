"""A run that rewinds to a step ends the same wherever it is interrupted, the snapshot included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.results.journal import Journal
from harness.runner import attempt as training
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from tests.results.test_resume import (
    STUDY,
    _Interrupted,
    assert_same_result,
    assert_whole,
    attempt,
    start,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results.folder import RunFolder
    from harness.settings.run_spec import RunSpec


def spec(rewind_steps: int, **changes: Any) -> RunSpec:
    methods = {"lottery_ticket": {"rounds": 1, "rewind_steps": rewind_steps, **changes}}
    settings = STUDY["training"] | {"epochs": 3}
    study = Study(**{**STUDY, "seeds": [0], "training": settings, "methods": methods})
    [only] = expand(study, Registry.discover())
    return only


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = start(spec(7), tmp_path_factory.mktemp("reference"))
    attempt(spec(7), folder)
    assert Journal(folder).status == "done", Journal(folder).reason
    return folder


def test_the_snapshot_is_a_window_of_its_own_within_the_training(reference: RunFolder) -> None:
    ledger = assert_whole(reference)
    windows = [entry.label for entry in ledger.entries]
    at = windows.index("snapshot")
    assert windows[at - 1] == windows[at + 1] == "level 0"
    epochs = [event["window"] for event in Journal(reference).events("epoch")]
    # Seven steps are an epoch of five and two more: what is left of it counts as one of two.
    assert epochs == ["level 0"] * 3 + ["level 1"] * 2


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "event", [("checkpoint", 1), ("epoch", 2), ("checkpoint", 2), ("answer", 1), ("epoch", 4)]
)
def test_interrupted_anywhere_it_ends_the_same(
    reference: RunFolder,
    event: tuple[str, int],
    after: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = start(spec(7), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(training, "JournalWriter", _Interrupted)
        patched.setattr(_Interrupted, "stop_at", event)
        patched.setattr(_Interrupted, "after", after)
        attempt(spec(7), folder)
    assert Journal(folder).status == "interrupted"
    attempt(spec(7), folder)
    assert Journal(folder).status == "done", Journal(folder).reason
    assert_same_result(folder, reference)


def test_a_step_after_the_end_is_refused_before_any_training(tmp_path: Path) -> None:
    folder = start(spec(500), tmp_path)
    attempt(spec(500), folder)
    journal = Journal(folder)
    assert journal.status == "failed"
    assert "3 epochs of 5 steps" in str(journal.reason)
    assert not journal.events("epoch")


def test_a_ticket_of_channels_rewinds_to_a_step_too(tmp_path: Path) -> None:
    small = spec(7, structured=True)
    folder = start(small, tmp_path)
    attempt(small, folder)
    assert Journal(folder).status == "done", Journal(folder).reason


TWICE = """
from harness import Method, Record, Rewind, SnapshotAt, Train

class Twice(Method):
    \"\"\"Takes one snapshot in place of another, within an epoch that it rewound into.\"\"\"

    again: int = 4
    back: bool = False

    def phases(self, budget):
        yield Train("a", epochs=2, snapshot=SnapshotAt("early", 3))
        yield Rewind("early")
        yield Train("b", epochs=1, snapshot=SnapshotAt("early", self.again))
        yield Train("c", epochs=1)
        if self.back:
            yield Record({"place": (yield Rewind("early"))})
"""


def twice(folder: Path, **changes: Any) -> RunSpec:
    plugin = folder / "twice.py"
    plugin.write_text(TWICE)
    recipe = STUDY["training"] | {"checkpoint_epochs": 2}
    changed = {"seeds": [0], "training": recipe, "methods": {"twice": changes}}
    study = Study(**{**STUDY, **changed, "plugins": [str(plugin)]})
    [only] = expand(study, Registry.discover(study.plugins))
    return only


def test_a_snapshot_that_takes_another_one_s_place_is_not_found_too_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint after "a" would resume before the `Rewind` to what "b" has replaced."""
    spec = twice(tmp_path)
    reference = start(spec, tmp_path / "reference")
    attempt(spec, reference)
    assert Journal(reference).status == "done", Journal(reference).reason
    folder = start(spec, tmp_path / "interrupted")
    with monkeypatch.context() as patched:
        patched.setattr(training, "JournalWriter", _Interrupted)
        patched.setattr(_Interrupted, "stop_at", ("epoch", 3))
        attempt(spec, folder)
    assert Journal(folder).status == "interrupted"
    attempt(spec, folder)
    assert Journal(folder).status == "done", Journal(folder).reason
    assert_same_result(folder, reference)


@pytest.mark.parametrize("again", [3, 4, 5])
def test_a_snapshot_in_a_rewound_epoch_counts_the_steps_before(again: int, tmp_path: Path) -> None:
    spec = twice(tmp_path, again=again, back=True)
    folder = start(spec, tmp_path / "study")
    attempt(spec, folder)
    [record] = Journal(folder).events("record")
    assert record["facts"]["place"] == pytest.approx(again / 5)


def test_a_snapshot_before_a_rewound_phase_begins_is_refused(tmp_path: Path) -> None:
    spec = twice(tmp_path, again=2)
    folder = start(spec, tmp_path / "study")
    attempt(spec, folder)
    assert Journal(folder).status == "failed"
    reason = "'b' has 1 epochs of 5 steps, 3 of them behind it, so no snapshot can be taken after 2"
    assert reason in str(Journal(folder).reason)
