"""Tuning: as many trials for every method, chosen on validation data, the same after a crash."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from scipy.stats.qmc import Sobol

import harness as public
from harness.cli.tune import Tuning
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.results.table import Tables
from harness.results.tuning import read_tuning, tuning_costs
from harness.scheduler.scheduler import RunOutcome, RunScheduler
from harness.settings.run_spec import RunSpec
from harness.settings.tuning import TuningSettings
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.study.trials import points, trial_number, trial_study, tuned_arm
from reports.data import plain_results
from reports.statistics.summary import summarise
from tests.scheduler.started import called

RATE = {"low": 0.01, "high": 1.0, "log": True}
SPACE = {"learning_rate": RATE, "schedule": {"choices": ["step", "cosine", "constant"]}}
METHODS: dict[str, Any] = {"dense": {}, "early_bird": {}}
WITH_CONTROL = {**METHODS, "small_dense": {"of": "early_bird"}}


def study(methods: dict[str, Any] = METHODS, **tuning: Any) -> Study:
    given = {"space": SPACE, "trials": 8, "halvings": 2, "seed": 7} | tuning
    return Study.model_validate(
        {
            "name": "tuned",
            "seeds": [0, 1],
            "workload": {"data": "digits", "model": "vgg_small"},
            "training": {"epochs": 8},
            "methods": methods,
            "tuning": given,
        }
    )


def tuning_of(study: Study, folder: StudyFolder, *arms: str) -> Tuning | None:
    """The trials of a study, or of these of its arms."""
    registry = Registry.discover()
    runs = expand(study, registry)
    return Tuning.of(study, registry, folder, [r for r in runs if not arms or r.arm in arms])


Score = Callable[[str, int, int], float | None]
"""The score of a trial by its arm, number and epochs; None for one that fails."""


class Invented:
    """A results folder whose trials are invented one by one."""

    def __init__(self, path: Path, study: Study, score: Score, **metric: Any) -> None:
        self.folder = StudyFolder(path)
        found = tuning_of(study, self.folder)
        assert found is not None
        self.tuning, self._score, self._metric = found, score, metric
        self.folder.bind(study, [])
        self.tuning.folder.bind(found.study, found.specs)
        self.done: list[RunSpec] = []

    def end(self, spec: RunSpec, test_score: float = 0.5) -> None:
        run = self.tuning.folder.run(spec)
        run.path.mkdir(parents=True)  # fails for one that is asked for twice
        run.spec.write_text(spec.model_dump_json())
        score = self._score(tuned_arm(spec), trial_number(spec), spec.training.epochs)
        events: list[dict[str, object]] = [{"event": "attempt", "number": 1, "restored": 0}]
        events += [{"event": "metric", "name": "accuracy", **self._metric}]
        if score is not None:
            result = {"test_score": test_score, "val_score": score, "test_samples": 10}
            events += [{"event": "result", **result}]
        events += [{"event": "end", "status": "failed" if score is None else "done"}]
        lines = [json.dumps({"time_ns": n, **event}) + "\n" for n, event in enumerate(events)]
        run.journal.write_text("".join(lines))
        self.done.append(spec)

    def end_all(self) -> dict[str, float]:
        """End trials until no more is called for; the learning rate that each arm then has."""
        while missing := self.tuning.missing:
            assert self.tuning.rounds.chosen(self.tuning.folder) is None
            for spec in missing:
                self.end(spec)
        chosen = self.tuning.rounds.chosen(self.tuning.folder)
        assert chosen is not None
        return {arm: training.learning_rate for arm, training in chosen.items()}

    def counts(self) -> Counter[tuple[str, int]]:
        return Counter((tuned_arm(spec), spec.training.epochs) for spec in self.done)


def rates(study: Study) -> list[float]:
    """The learning rate of each trial."""
    own = study.training.learning_rate
    return [values.get("learning_rate", own) for values in points(study.tuning)]


def by_number(best: dict[str, list[int]]) -> Score:
    """Scores by which each arm's trials come in this order, the best first."""
    return lambda arm, number, _epochs: 1.0 - best[arm].index(number) / 10


ORDERS = {"dense": [3, 0, 6, 1, 2, 4, 5, 7], "early_bird": [5, 4, 7, 2, 6, 3, 1, 0]}
ORDERS["small_dense"] = [1, 3, 0, 2, 4, 5, 6, 7]


def test_trials_are_the_points_of_scipys_sequence() -> None:
    shares = Sobol(2, scramble=True, rng=7).random_base2(3)[:7]
    first, *rest = points(study().tuning)
    assert first == {}  # the study's own recipe
    for (rate, choice), values in zip(shares, rest, strict=True):
        assert values["learning_rate"] == pytest.approx(0.01 * 100**rate, rel=1e-3)
        assert values["schedule"] == ("step", "cosine", "constant")[int(3 * choice)]
    assert points(study().tuning) == [first, *rest]
    assert points(study(trials=20).tuning)[:8] == [first, *rest]
    assert points(study(seed=8).tuning) != [first, *rest]


def test_linear_and_whole_numbers_lie_within_their_bounds() -> None:
    space = {"batch_size": {"low": 16, "high": 64}, "weight_decay": {"low": 0, "high": 1e-3}}
    values = points(TuningSettings.model_validate({"space": space, "trials": 32}))[1:]
    assert {type(each["batch_size"]) for each in values} == {int}
    assert all(16 <= each["batch_size"] <= 64 for each in values)
    decays = sorted(each["weight_decay"] for each in values)
    assert decays[0] < 1e-4 < 9e-4 < decays[-1] <= 1e-3


def test_every_arm_has_as_many_trials_and_its_best_recipe(tmp_path: Path) -> None:
    asked = study()
    found = Invented(tmp_path, asked, by_number(ORDERS))
    called = found.tuning.rounds.called(found.tuning.folder)
    assert len(called.runs) == 2 * 8
    assert len(called.may_follow) == 2 * (4 + 2)
    chosen = found.end_all()
    assert found.counts() == {(arm, n): k for arm in METHODS for n, k in ((2, 8), (4, 4), (8, 2))}
    assert chosen == {"dense": rates(asked)[3], "early_bird": rates(asked)[5]}
    assert {spec.seed for spec in found.done} == {7}


def test_only_the_arms_that_are_run_are_tuned(tmp_path: Path) -> None:
    found = tuning_of(study(), StudyFolder(tmp_path), "early_bird")
    assert found is not None
    assert {tuned_arm(spec) for spec in found.specs} == {"early_bird"}
    assert len(found.missing) == 8


def test_a_longer_rung_decides_and_the_earlier_trial_wins_a_tie(tmp_path: Path) -> None:
    def score(arm: str, number: int, epochs: int) -> float:
        return 0.9 if epochs == 8 else 1.0 - number / 10 if arm == "dense" else number / 10

    asked = study()
    found = Invented(tmp_path, asked, score)
    assert found.end_all() == {"dense": rates(asked)[0], "early_bird": rates(asked)[6]}


def test_where_lower_is_better_the_lowest_wins(tmp_path: Path) -> None:
    asked = study()
    found = Invented(tmp_path, asked, by_number(ORDERS), higher_is_better=False)
    assert found.end_all() == {"dense": rates(asked)[7], "early_bird": rates(asked)[0]}


def test_a_failed_trial_loses_and_is_not_repeated(tmp_path: Path) -> None:
    order = by_number(ORDERS)
    asked = study(halvings=0)
    found = Invented(
        tmp_path,
        asked,
        lambda arm, n, e: None if arm == "early_bird" or n == 3 else order(arm, n, e),
    )
    assert found.end_all() == {"dense": rates(asked)[0], "early_bird": rates(asked)[0]}
    assert len(found.done) == 16


def test_what_a_trial_builds_on_is_kept_and_does_not_compete_again(tmp_path: Path) -> None:
    asked = study(WITH_CONTROL, halvings=1)
    found = Invented(tmp_path, asked, by_number(ORDERS))
    chosen = found.end_all()
    control = "small_dense"
    longest = {
        arm: {trial_number(s) for s in found.done if tuned_arm(s) == arm and s.training.epochs == 8}
        for arm in chosen
    }
    assert longest[control] == {0, 1, 2, 3}
    assert longest["early_bird"] == {2, 4, 5, 7} | {0, 1, 2, 3}
    assert chosen["early_bird"] == rates(asked)[5]
    for spec in found.done:
        for other in found.tuning.relied_on(spec):
            assert (trial_number(other), other.training) == (trial_number(spec), spec.training)
    labels = {arm: arm for arm in chosen}
    roles = read_tuning(found.folder, asked.model_dump(mode="json"), labels)
    mine = roles[(roles["arm"] == "early_bird") & (roles["epochs"] == 8)]
    assert dict(zip(mine["trial"], mine["role"], strict=True)) == {
        **dict.fromkeys((0, 1, 3), "for another method"),
        **dict.fromkeys((2, 4, 7), "trial"),
        5: "chosen",
    }


def test_a_study_stopped_anywhere_comes_to_the_same_choice(tmp_path: Path) -> None:
    """A new reader of the records for every trial, each of which is asked for once."""
    asked = study(trials=4, halvings=1)
    whole = Invented(tmp_path / "whole", asked, by_number(ORDERS))
    expected = whole.end_all()
    again = tuning_of(asked, whole.folder)
    assert again is not None
    assert again.missing == []
    steps = 0
    while True:
        part = Invented(tmp_path / "part", asked, by_number(ORDERS))
        if not part.tuning.missing:
            break
        part.end(part.tuning.missing[-1])
        steps += 1
    assert steps == len(whole.done)
    assert part.end_all() == expected


def test_nothing_is_chosen_on_test_data(tmp_path: Path) -> None:
    found = Invented(tmp_path / "a", study(halvings=0), by_number(ORDERS))
    for spec in found.tuning.missing:
        found.end(spec, test_score=trial_number(spec) / 10)
    other = Invented(tmp_path / "b", study(halvings=0), by_number(ORDERS))
    for spec in other.tuning.missing:
        other.end(spec, test_score=1 - trial_number(spec) / 10)
    assert found.end_all() == other.end_all()


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"space": {"learning_rte": RATE}}, "did you mean 'learning_rate'"),
        ({"space": {"epochs": {"choices": [1, 2]}}}, "is the budget of every method"),
        ({"space": {"learning_rate": {"low": 0.1}}}, "needs low and high, or choices"),
        ({"space": {"learning_rate": {"low": 1, "high": 0.1}}}, "must be less than high"),
        ({"space": {"weight_decay": {"low": 0, "high": 1, "log": True}}}, "log needs low above 0"),
        ({"space": {"momentum": {"choices": [0.9], "low": 0}}}, "leave one kind out"),
        ({"trials": 1}, "greater than or equal to 2"),
        ({"trials": 4}, "take more trials, or fewer halvings"),
        ({"seed": 1}, "is one of the study's seeds"),
    ],
)
def test_a_wrong_table_is_refused(tuning: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        study(**tuning)


def test_a_trial_that_the_recipe_refuses_is_refused_before_any_run() -> None:
    with pytest.raises(UsageError, match=r"tuning.space, trial \d.momentum: "):
        trial_study(study(space={"momentum": {"low": 0.5, "high": 3}}))
    with pytest.raises(UsageError, match=r"at least 16 training\.epochs, not 8"):
        trial_study(study(trials=32, halvings=4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variants": {"a": {}, "b": {}}}, "not together with variants"),
        ({"seeds": "until decided"}, "not together with seeds until decided"),
        ({"tuning": {"trials": 4}}, "space is missing"),
    ],
)
def test_what_tuning_does_not_go_with_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Study.model_validate(study().model_dump() | change)


WORDS = (
    *("run", "dense", "--seed", "0", "--set", "training.epochs=1"),
    *("--set", "workload.train_samples=200", "--set", "tuning.trials=2"),
    *("--set", "tuning.space.learning_rate={low = 0.02, high = 0.5, log = true}"),
)


def test_a_study_tunes_and_then_runs_with_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real runs, interrupted after one trial; wrong input leaves no trace."""
    out = tmp_path / "out"
    wrong = called(*WORDS, "--set", "tuning.seed=0", "--out", str(out))
    assert (wrong.returncode, "tuning.seed: 0 is one" in wrong.stderr) == (2, True)
    assert not out.exists()
    words = (*WORDS, "--out", str(out))
    plan = json.loads(called("plan", *words[1:], "--json").stdout)
    assert (plan["trials"], plan["runs"], plan["left"]) == (2, 1, 3)

    own = RunScheduler.run_if_needed
    worked: list[str] = []

    def run(self: RunScheduler, spec: RunSpec, *rest: Any) -> RunOutcome:
        if worked:
            raise KeyboardInterrupt
        worked.append(spec.title)
        return own(self, spec, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunScheduler, "run_if_needed", run)
        assert called(*words).returncode == 130
    assert "tuning: 1 of 2 trials have ended" in called("status", str(out)).stdout
    ended = called(*words, "--no-report")
    assert ended.returncode == 0, ended.stderr
    runs = public.load(out)
    tables = Tables(out)
    assert set(tables.tuning["status"]) == {"done"}
    assert list(tables.tuning["arm"].value_counts()) == [2]
    assert {len(path.read_text().split('"attempt"')) for path in out.rglob("journal.jsonl")} == {2}
    specs = {path: json.loads(path.read_text()) for path in out.glob("runs/*/*/spec.json")}
    for arm, trials in tables.tuning.groupby("arm"):
        best = trials.loc[trials["val_score"].idxmax()]
        [row] = trials[trials["role"] == "chosen"].to_dict("records")
        assert row["trial"] == best["trial"]
        [spec] = [each for each in specs.values() if each["method"] == arm]
        assert spec["training"]["learning_rate"] == row["learning_rate"]
        [cost] = runs.loc[runs["arm"] == arm, "tuning_j"]
        assert cost == pytest.approx(trials["energy_j"].sum())
        energy_j, uncertainty_j = tuning_costs(tables.tuning)[str(arm)]
        assert energy_j == pytest.approx(cost)
        assert trials["uncertainty_j"].max() < uncertainty_j <= trials["uncertainty_j"].sum()
    for arm in summarise(plain_results(tables)).arms:
        assert arm.energy_with_tuning_j == pytest.approx(
            runs.loc[runs["arm"] == arm.arm, ["energy_j", "tuning_j"]].sum(axis=1).mean()
        )
    shutil.copytree(out, tmp_path / "copy")
    both = (str(out), str(tmp_path / "copy"))
    assert called("merge", *both, "--out", str(tmp_path / "merged")).returncode == 0
    merged = Tables(tmp_path / "merged")
    assert merged.tuning.equals(tables.tuning)
    assert list(merged.runs["tuning_j"]) == list(tables.runs["tuning_j"])
    changed = called(*words, "--set", "tuning.seed=5")
    assert changed.returncode == 2
    assert "were tuned otherwise" in changed.stderr


def test_a_study_that_tunes_nothing_has_no_trials() -> None:
    plain = Study.model_validate(study().model_dump() | {"tuning": {}})
    assert tuning_of(plain, StudyFolder(Path("nowhere"))) is None
    assert len(expand(plain, Registry.discover())) == 4
