"""`claims`: verdicts from records, never more than they show, and tests that say what they need."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.claim_verdicts import derived
from harness.cli.claims import costs
from harness.results.folder import StudyFolder
from harness.scheduler.ordering import Reliance
from harness.settings.run_spec import RunSpec
from harness.study.choose import choose_study
from harness.study.claim_registry import VERDICTS, claim_ids, registered_claim, shipped_verdicts
from harness.study.expand import expand
from tests.conftest import REPOSITORY
from tests.scheduler.started import called

RECORDS = REPOSITORY / "benchmarks" / "quick-cpu"
CLAIM = "early-bird-digits"

Changed = Callable[[Callable[[dict[str, Any]], None]], Path]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """Copies the records of the quick study with another `study.json`."""

    def change(edit: Callable[[dict[str, Any]], None]) -> Path:
        folder = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(RECORDS, folder)
        study = json.loads((folder / "study.json").read_text())
        edit(study)
        (folder / "study.json").write_text(json.dumps(study))
        return folder

    return change


def listed(*words: str) -> dict[str, dict[str, Any]]:
    ended = called("claims", *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return {claim["id"]: claim for claim in json.loads(ended.stdout)["claims"]}


def test_the_verdicts_that_come_along_are_those_of_the_committed_records() -> None:
    shipped, again = shipped_verdicts(), derived()
    assert list(shipped) == list(again)
    for claim_id, verdict in again.items():
        kept = shipped[claim_id]
        for name in ("energy_ratio", "score_difference"):
            limits = getattr(verdict, name)
            close = limits and tuple(x if x is None else pytest.approx(x, rel=1e-4) for x in limits)
            assert getattr(kept, name) == close
        figures = {"energy_ratio": None, "score_difference": None}
        assert kept.model_copy(update=figures) == verdict.model_copy(update=figures)


def test_every_claim_is_listed_with_its_scale_the_decided_ones_first() -> None:
    found = listed()
    assert sorted(found) == claim_ids()
    order = [VERDICTS.index(claim["verdict"]["verdict"]) for claim in found.values()]
    assert order == sorted(order)
    for claim in found.values():
        assert re.match(r"at (a smaller|the published) scale: ", claim["test"]["scale"])
        assert claim["verdict"]["verdict"] != "not tested" or claim["verdict"]["reason"]
    assert found[CLAIM]["test"]["scale"].startswith("at a smaller scale")
    assert found[CLAIM]["verdict"]["records"] == "benchmarks/quick-cpu"


def test_the_list_names_the_scale_beside_each_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    [line] = [line for line in called("claims").stdout.splitlines() if line.startswith(CLAIM)]
    verdict = shipped_verdicts()[CLAIM].words
    assert verdict in line
    assert registered_claim(CLAIM).at_scale in line


def test_results_of_ones_own_take_the_place_of_those_that_come_along() -> None:
    verdict = listed(str(RECORDS))[CLAIM]["verdict"]
    assert verdict.pop("records") == str(RECORDS)
    assert verdict["energy_kind"] == "estimated"
    assert verdict["n"] == 3
    assert verdict["verdict"] == shipped_verdicts()[CLAIM].verdict


def test_results_of_a_changed_study_are_not_of_a_claims_scale(changed: Changed) -> None:
    folder = changed(lambda study: study["training"].update(epochs=2))
    verdict = listed(str(folder))[CLAIM]["verdict"]
    assert verdict["verdict"] == "not tested"
    assert "training.epochs was 2, not 16" in verdict["reason"]
    assert verdict["energy_ratio"] is None


def test_a_method_with_other_words_is_not_the_studys(changed: Changed) -> None:
    folder = changed(lambda _: None)
    for file in (folder / "runs" / "early_bird").glob("*/spec.json"):
        spec = json.loads(file.read_text())
        spec["hyperparameters"]["window"] = 2
        file.write_text(json.dumps(spec))
    verdict = listed(str(folder))[CLAIM]["verdict"]
    assert verdict["verdict"] == "not tested"
    assert "early_bird had window = 2, not 5" in verdict["reason"]


def test_another_folder_for_the_data_is_no_change(changed: Changed) -> None:
    folder = changed(lambda study: study["workload"].update(root="/elsewhere"))
    assert listed(str(folder))[CLAIM]["verdict"]["n"] == 3


def test_an_arm_that_was_not_run_is_not_tested(tmp_path: Path) -> None:
    folder = tmp_path / "some"
    shutil.copytree(RECORDS, folder)
    shutil.rmtree(next((folder / "runs").glob("progressive*")))
    found = listed(str(folder))
    assert found["early-bird-progressive-digits"]["verdict"]["verdict"] == "not tested"
    assert "was not run" in found["early-bird-progressive-digits"]["verdict"]["reason"]
    assert found[CLAIM]["verdict"]["n"] == 3


def test_results_twice_of_one_study_are_refused(changed: Changed) -> None:
    twice = called("claims", str(RECORDS), str(changed(lambda _: None)))
    assert twice.returncode == 2
    assert "merge" in twice.stderr


def test_results_that_no_claim_is_about_are_refused(changed: Changed) -> None:
    folder = changed(lambda study: study.update(name="mine"))
    ended = called("claims", str(folder))
    assert ended.returncode == 2
    assert f"{folder}: no registered claim is about study 'mine'" in ended.stderr


def test_the_page_opens_offline_and_sorts(tmp_path: Path) -> None:
    file = tmp_path / "claims.html"
    assert called("claims", "--page", str(file)).returncode == 0
    page = file.read_text("utf-8")
    assert not re.search(r"(src|href)=", page)
    assert 'class="sortable"' in page
    assert "aria-sort" in page
    for claim_id in claim_ids():
        assert f">{claim_id}<" in page
    assert "at a smaller scale: 1,797 digits" in page
    nowhere = called("claims", "--page", str(tmp_path / "no" / "claims.html"))
    assert nowhere.returncode == 2
    assert nowhere.stderr.startswith("error: --page ")


def test_one_claim_is_shown_with_its_source_and_verdict() -> None:
    shown = called("claims", "show", CLAIM).stdout
    for words in ("https://arxiv.org/abs/1909.11957", "at a smaller scale", "study quick", "0.702"):
        assert words in shown
    assert json.loads(called("claims", "show", CLAIM, "--json").stdout)["id"] == CLAIM
    wrong = called("claims", "show", "early-brid-digits")
    assert wrong.returncode == 2
    assert f"did you mean '{CLAIM}'" in wrong.stderr


def test_a_test_runs_two_arms_and_prints_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an engine that brings the committed records in place of training."""
    asked: list[RunSpec] = []

    class Records:
        may_be_left = False

        def run(self, folder: StudyFolder, specs: list[RunSpec], _: object) -> list[Any]:
            asked.extend(specs)
            shutil.copytree(RECORDS / "runs", folder.path / "runs")
            return []

    monkeypatch.setattr("harness.cli.run._engine", lambda _: Records())
    monkeypatch.setattr("harness.cli.report.make_report", lambda *_: None)
    ended = called("claims", "test", CLAIM, "--out", str(tmp_path / "quick"))
    assert ended.returncode == 0, ended.stderr
    assert f"claim {CLAIM}: 6 runs, 6 to do; hours and kWh are known once" in ended.stdout
    assert sorted({spec.method for spec in asked}) == ["dense", "early_bird"]
    assert sorted({spec.seed for spec in asked}) == [0, 1, 2]
    verdict = shipped_verdicts()[CLAIM].verdict
    assert f"{CLAIM}: {verdict}, at a smaller scale: 1,797 digits" in ended.stdout


def test_what_is_left_of_a_test_is_judged_by_what_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "quick"
    shutil.copytree(RECORDS, folder)
    study, registry = choose_study(("quick",), (), (), (), ())
    specs = expand(study, registry)
    needed = Reliance(specs, registry).only(specs, ["early_bird", "dense"])
    assert costs(StudyFolder(folder), needed) == "6 runs, 0 to do"
    shutil.rmtree(folder / "runs" / "dense" / "seed-0")
    cost = costs(StudyFolder(folder), needed)
    assert re.fullmatch(r"6 runs, 1 to do, about \S+ h and \S+ kWh", cost)


@pytest.mark.parametrize(
    ("claim_id", "words"),
    [
        ("early-bird-cifar10-p50-snip", ["needs a GPU and CIFAR-10", "no GPU"]),
        ("e2-train-fashion", ["cannot be tested yet", "selective layer update"]),
        ("lottery-ticket-fashion", ["workload.root: nothing there"]),
    ],
)
def test_a_test_that_cannot_be_run_says_what_it_needs_and_runs_nothing(
    claim_id: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.scheduler.resources.gpus_here", lambda: ())
    monkeypatch.setattr("harness.workloads.files.missing", lambda _: "workload.root: nothing there")
    ended = called("claims", "test", claim_id, "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    for each in words:
        assert each in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_test_runs_its_arms_and_what_they_build_on_alone() -> None:
    study, registry = choose_study(("controls",), (), (), (), ())
    specs = expand(study, registry)
    claim = registered_claim("scratch-or-fine-tuned").test
    needed = Reliance(specs, registry).only(specs, (claim.arm, claim.against))
    assert {spec.method for spec in needed} == {"small_dense", "early_bird"}
    assert {spec.seed for spec in needed} == set(study.all_seeds)
    needed = Reliance(specs, registry).only(specs, ["dense_short"])
    assert {spec.method for spec in needed} == {"dense", "dense_short", "early_bird"}
