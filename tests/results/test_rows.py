"""What a search cost, what each attempt drew, and what the test pass drew: by a known power."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from harness.energy.integration.curve import Joules
from harness.results import rows
from harness.results.carbon import StudyCarbon
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, Window
from harness.results.rows import _threads_in_use
from harness.results.run_energy import Entry
from harness.results.schema import RUNS, names
from harness.results.table import Tables, typed
from harness.runner import attempt as training
from tests.conftest import REPOSITORY
from tests.results.test_resume import POWER_W, SPECS, _Interrupted, attempt, start

BIRD = next(spec for spec in SPECS if spec.method == "early_bird")
DENSE = next(spec for spec in SPECS if spec.method == "dense")


def window_after(folder: RunFolder, kind: str) -> int:
    """When the window ends in which an event of some kind happened last."""
    events = Journal(folder).attempts[-1].events
    last = max(n for n, event in enumerate(events) if event["event"] == kind)
    return int(next(e["time_ns"] for e in events[last:] if e["event"] in ("border", "end")))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of Early-Bird and one of dense, uninterrupted."""
    path = tmp_path_factory.mktemp("study")
    for spec in (BIRD, DENSE):
        attempt(spec, start(spec, path))
    return path


def test_a_search_lasts_until_the_network_has_its_final_shape(study: Path) -> None:
    tables = Tables(study)
    row = tables.runs.set_index("method").loc["early_bird"]
    folder = tables.folder("early_bird", BIRD.seed)
    began_ns = Journal(folder).attempts[0].start_ns
    searched_s = (window_after(folder, "size") - began_ns) * 1e-9
    assert row["search_j"] == pytest.approx(POWER_W * searched_s, rel=1e-6)
    assert row["search_epochs"] == row["ticket_epoch"] == 2
    dense = tables.runs.set_index("method").loc["dense"]
    assert dense["search_j"] == dense["search_epochs"] == 0


def test_the_test_pass_has_a_window_and_a_number_of_samples(study: Path) -> None:
    tables = Tables(study)
    for method, row in tables.runs.set_index("method").iterrows():
        journal = Journal(tables.folder(str(method), row["seed"]))
        borders = journal.events("border")
        [tested] = [n for n, event in enumerate(borders) if event["window"] == "test"]
        lasted_s = (borders[tested + 1]["time_ns"] - borders[tested]["time_ns"]) * 1e-9
        assert row["test_j"] == pytest.approx(POWER_W * lasted_s, rel=1e-6)
        assert row["test_samples"] == 360


def test_every_attempt_has_a_row_and_they_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    folder = start(DENSE, tmp_path)
    _Interrupted.stop_at = ("epoch", 2)
    attempt(DENSE, folder)
    attempt(DENSE, folder)
    tables = Tables(tmp_path)
    [run] = tables.runs.to_dict("records")
    first, second = tables.attempts.to_dict("records")
    assert (first["status"], second["status"]) == ("interrupted", "done")
    assert (first["restored"], second["restored"]) == (0, 1)
    assert first["energy_j"] == pytest.approx(POWER_W * first["duration_s"], rel=1e-6)
    assert first["energy_j"] + second["energy_j"] == pytest.approx(run["energy_j"], rel=1e-9)
    assert first["lost_j"] == run["lost_j"] > 0
    assert second["lost_j"] == 0
    assert '"torch"' in second["versions"]


def test_a_name_for_numbers_and_words_is_text_in_a_typed_file(tmp_path: Path) -> None:
    mixed = pd.DataFrame(
        {"window": [5, "wide", None], "rate": [1, 2.5, None], "on": [True, None, 1]}
    )
    path = tmp_path / "table.parquet"
    typed(mixed).to_parquet(path)
    found = pd.read_parquet(path)
    assert found["window"].tolist()[:2] == ["5", "wide"]
    assert found["rate"].tolist()[:2] == [1.0, 2.5]
    assert found["window"].isna().tolist() == [False, False, True]


def test_an_arm_is_found_by_what_distinguishes_it(study: Path) -> None:
    tables = Tables(study)
    assert tables.arm("early_bird") == "early_bird"
    assert tables.arm("early_bird reinit=False max_distance=0.3") == "early_bird"
    assert tables.arm("early_bird reinit=True") is None
    assert tables.arm("dense variant=lean") is None
    with pytest.raises(KeyError):
        tables.folder("dense", 99)


def test_a_window_that_waited_counts_for_the_threads_in_use() -> None:
    def entry(start_s: int, end_s: int, threads: float | None) -> Entry:
        window = Window(1, "train", start_s * 10**9, end_s * 10**9, 0)
        return Entry(window, "train", Joules(1.0, 0.0, 0.0, 0.0, 0.0, 1.0), threads)

    assert _threads_in_use([entry(0, 1, 2.0), entry(1, 4, 0.0), entry(4, 9, None)]) == 0.5
    assert _threads_in_use([entry(0, 1, None)]) is None


def test_a_run_that_cannot_be_read_has_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: RunFolder) -> None:
        raise KeyError(folder.name)

    study = StudyFolder(REPOSITORY / "benchmarks" / "quick-cpu")
    run = study.runs()[0]
    monkeypatch.setattr(rows, "Ledger", broken)
    row = rows.read_run(run, run.read_spec(), "an arm", StudyCarbon(study)).run
    assert list(row) == names(RUNS)
    assert (row["arm"], row["seed"], row["status"]) == ("an arm", 0, "damaged")
    assert row["reason"].endswith(f"KeyError: '{run.name}'")
    assert (row["energy_source"], row["energy_flags"], row["coverage"]) == ("none", "", 0)
    assert all(math.isnan(row[name]) for name in ("energy_j", "test_score", "parameters"))
