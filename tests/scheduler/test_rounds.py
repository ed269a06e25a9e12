"""Seeds until all verdicts are decided: no run that cannot change one, the same after a crash."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import harness as public
from harness.cli.until_decided import rounds_of, rule_progress
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.scheduler.ordering import Reliance, in_random_order
from harness.scheduler.rounds import Called
from harness.scheduler.scheduler import RunScheduler
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study, UntilDecided
from tests.scheduler.started import called

IMAGES = 10_000
METHODS = ("dense", "early_bird", "progressive", "lottery_ticket")
LOST = {"dense": 500, "early_bird": 505, "progressive": 540, "lottery_ticket": 900}
LOST["dense_short"] = LOST["progressive"]
"""Test images that each method gets wrong on average: little is lost, about the margin, much."""


def study(**changes: object) -> Study:
    fields: dict[str, object] = {
        "name": "rounds",
        "seeds": {"until": "decided", "min": 3, "max": 6},
        "workload": {"data": "digits", "model": "vgg_small"},
        "methods": {name: {} for name in METHODS},
    }
    return Study.model_validate(fields | changes)


class Invented:
    """A results folder whose runs are invented one by one."""

    def __init__(self, path: Path, study: Study) -> None:
        self.folder = StudyFolder(path)
        registry = Registry.discover()
        specs = expand(study, registry)
        relied_on = Reliance(specs, registry)
        self.specs = in_random_order(specs, relied_on)
        self.rounds = rounds_of(study, self.specs, relied_on)
        self.folder.bind(study, self.specs)

    def called(self) -> Called:
        return self.rounds.called(self.folder)

    def missing(self) -> list[RunSpec]:
        return [s for s in self.called().runs if not self.folder.run(s).journal.exists()]

    def end(self, spec: RunSpec, status: str = "done") -> None:
        run = self.folder.run(spec)
        run.path.mkdir(parents=True)
        run.spec.write_text(spec.model_dump_json())
        generator = np.random.default_rng([spec.seed, *spec.method.encode()])
        right = np.ones(IMAGES, dtype=bool)
        right[: LOST[spec.method] + generator.integers(-9, 10)] = False
        result = {
            "test_score": float(right.mean()),
            "test_samples": IMAGES,
            "test_correct": base64.b64encode(np.packbits(right).tobytes()).decode(),
        }
        events: list[dict[str, object]] = [{"event": "attempt", "number": 1, "restored": 0}]
        events += [{"event": "result", **result}] * (status == "done")
        events += [{"event": "end", "status": status}]
        lines = [json.dumps({"time_ns": n, **event}) + "\n" for n, event in enumerate(events)]
        run.journal.write_text("".join(lines))

    def end_all(self) -> int:
        """End runs until no more is called for; how many that were."""
        count = 0
        while missing := self.missing():
            for spec in missing:
                self.end(spec)
            count += len(missing)
        return count


Invent = Callable[..., Invented]


@pytest.fixture
def invent(tmp_path: Path) -> Invent:
    return lambda **changes: Invented(tmp_path / "out", study(**changes))


def seeds_of(specs: list[RunSpec]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for spec in specs:
        counts[spec.arm] = counts.get(spec.arm, 0) + 1
    return counts


def test_only_arms_whose_verdict_is_open_get_further_seeds(invent: Invent) -> None:
    """Dense goes along; what is decided after three seeds costs no further run."""
    found = invent()
    assert seeds_of(found.called().runs) == dict.fromkeys(METHODS, 3)
    assert len(found.called().may_follow) == 4 * 3
    for spec in found.missing():
        found.end(spec)
    assert seeds_of(found.missing()) == {"dense": 1, "progressive": 1}
    assert seeds_of(found.called().may_follow) == {"dense": 2, "progressive": 2}
    found.end_all()
    assert seeds_of(found.called().runs) == {
        "dense": 6,
        "early_bird": 3,
        "lottery_ticket": 3,
        "progressive": 6,
    }
    assert found.called().may_follow == []


def test_nothing_follows_before_all_runs_of_a_round_have_ended(invent: Invent) -> None:
    found = invent()
    *others, last = found.missing()
    for spec in others:
        found.end(spec)
    assert found.missing() == [last]
    found.end(last, "interrupted")
    assert found.missing() == []
    assert len(found.called().runs) == 12


def test_a_failed_run_is_an_end_and_no_pair(invent: Invent) -> None:
    """It gets its first look one seed later."""
    found = invent(methods={"dense": {}, "early_bird": {}})
    for spec in found.missing():
        found.end(spec, "failed" if (spec.arm, spec.seed) == ("early_bird", 1) else "done")
    assert [(spec.arm, spec.seed) for spec in sorted(found.missing(), key=lambda s: s.arm)] == [
        ("dense", 3),
        ("early_bird", 3),
    ]


def test_an_arm_that_cannot_reach_a_first_look_is_left_alone(invent: Invent) -> None:
    found = invent(methods={"dense": {}, "early_bird": {}}, seeds={"min": 3, "max": 4})
    for spec in found.missing():
        found.end(spec, "failed" if spec.arm == "early_bird" else "done")
    assert found.missing() == []
    assert found.called().may_follow == []


def test_what_an_open_arm_builds_on_runs_along(invent: Invent) -> None:
    """Early-bird is decided early, but an arm on the margin is as long as it."""
    found = invent(methods={"dense": {}, "early_bird": {}, "dense_short": {"match": "early_bird"}})
    for spec in found.missing():
        found.end(spec)
    assert seeds_of(found.missing()) == {
        "dense": 1,
        "early_bird": 1,
        "dense_short match=early_bird": 1,
    }


def test_a_list_of_seeds_calls_for_everything_at_once(invent: Invent) -> None:
    found = invent(seeds=[4, 7])
    assert found.called() == Called(found.specs, [])


def test_a_rule_stays_with_its_folder(invent: Invent) -> None:
    """Picking a seed keeps the rule; another rule, or seeds beyond it, is refused."""
    found = invent()
    found.end_all()
    rule = found.folder.read_study()["seeds"]
    picked = study(seeds=[0])
    found.folder.bind(picked, found.specs)
    assert found.folder.read_study()["seeds"] == rule
    for other in ([8], {"min": 3, "max": 9}):
        with pytest.raises(UsageError, match="the rule cannot change once there are results"):
            found.folder.bind(study(seeds=other), found.specs)


def test_the_margin_of_a_rule_stays_with_its_folder(invent: Invent) -> None:
    """Chosen after a look at the results, it would decide what is wanted."""
    found = invent()
    found.folder.bind(study(report={"margin_points": 1.0}), found.specs)  # nothing is there yet
    found.end(found.missing()[0])
    for seeds in (study().seeds, [0]):
        with pytest.raises(UsageError, match=r"margin_points = 1, not 2; the margin cannot"):
            found.folder.bind(study(seeds=seeds, report={"margin_points": 2.0}), found.specs)
    found.folder.bind(study(report={"margin_points": 1.0}), found.specs)


def test_words_name_the_arms_whose_verdict_is_open_and_dense_has_none(invent: Invent) -> None:
    found = invent()
    rule = study().rule
    assert isinstance(rule, UntilDecided)
    progress = rule_progress(rule, found.called())
    assert set(progress.rpartition(": ")[2].split(", ")) == {*METHODS} - {"dense"}
    for spec in found.missing():
        found.end(spec)
    assert rule_progress(rule, found.called()).endswith("may need more: progressive")
    found.end_all()
    assert "no verdict needs further seeds" in rule_progress(rule, found.called())


def test_whether_a_machine_can_carry_it_out_is_asked_for_seeds_to_come_too(
    invent: Invent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = invent(methods={"dense": {}, "early_bird": {}, "progressive": {}})
    for spec in found.missing()[:-1]:
        found.end(spec)
    asked: list[RunSpec] = []

    def check(_self: RunScheduler, specs: list[RunSpec], _processes: int = 1) -> None:
        asked.extend(specs)
        raise UsageError("this machine cannot")

    monkeypatch.setattr(RunScheduler, "check", check)
    [last] = found.missing()
    file = tmp_path / "study.toml"
    file.write_text(
        'name = "rounds"\nseeds = {until = "decided", min = 3, max = 6}\n'
        '[workload]\ndata = "digits"\nmodel = "vgg_small"\n'
        "[methods.dense]\n[methods.early_bird]\n[methods.progressive]\n"
    )
    ended = called("run", str(file), "--out", str(tmp_path / "out"))
    assert "this machine cannot" in ended.stderr
    assert asked[0] == last
    assert {spec.arm for spec in asked} == {"dense", "early_bird", "progressive"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dense", "--until-decided", "3-10"), "nothing is compared with dense"),
        (("early_bird", "--until-decided", "3-10"), "verdicts are against dense"),
        (("--until-decided", "3"), "must be MIN-MAX, such as 3-10"),
        (("--until-decided", "5-4"), "min = 5 must be less than max = 4"),
        (("--until-decided", "1-4"), "seeds.min: should be greater than or equal to 2"),
        (("--until-decided", "3-4", "--seed", "1"), "not together with --seed"),
        (("--set", "seeds=until"), 'must be a list of seeds or "until decided"'),
    ],
)
def test_a_wrong_rule_is_refused(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    ended = called("run", *words, "--out", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert message in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["until decided", '{ until = "decided" }'])
def test_both_ways_to_write_the_rule_mean_three_to_ten(text: str, tmp_path: Path) -> None:
    words = ("plan", "dense", "early_bird", "--out", str(tmp_path / "out"), "--set")
    ended = called(*words, f"seeds={text}", "--json")
    plan = json.loads(ended.stdout)
    assert (plan["runs"], plan["at_least"]["runs"], plan["at_least"]["left"]) == (20, 6, 6)
    assert "6 to 20 runs" in called(*words, f"seeds={text}").stdout


def test_a_study_ends_as_soon_as_its_verdicts_are_decided(tmp_path: Path) -> None:
    """Real runs: a wide margin takes three seeds; a narrow one takes the rest as well."""
    out = tmp_path / "out"
    words = (
        "run",
        "dense",
        "magnitude_at_init",
        "--set",
        "training.epochs=1",
        "--set",
        "workload.train_samples=320",
        "--until-decided",
        "3-4",
    )
    wide = ("--set", "report.margin_points=95", "--out", str(out))
    ended = called(*words, *wide)
    assert ended.returncode == 0, ended.stderr
    assert "6 to 8 runs" in ended.stdout
    assert "decided after 3 seeds by the rule" in re.sub(r"\s+", " ", ended.stdout)
    assert len(public.load(out)) == 6
    status = json.loads(called("status", str(out), "--json").stdout)
    assert status["counts"] == {"done": 6, "not needed": 2}
    narrow = ("--set", "report.margin_points=0.01", "--out", str(out), "--no-report")
    refused = called(*words, *narrow)
    assert refused.returncode == 2
    assert "report.margin_points = 95, not 0.01" in refused.stderr
    saved = json.loads((out / "study.json").read_text())
    saved["report"]["margin_points"] = 0.01  # as if it had been so from the beginning
    (out / "study.json").write_text(json.dumps(saved))
    plan = json.loads(called("plan", *words[1:], *narrow[:-1], "--json").stdout)
    assert (plan["left"], plan["at_least"]["left"]) == (2, 2)
    assert called(*words, *narrow).returncode == 0
    assert sorted(public.load(out)["seed"]) == [0, 0, 1, 1, 2, 2, 3, 3]
