"""What a study asks of its report: wrong questions are refused, those built in can be answered."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from harness.settings.arm_selector import Selector
from harness.settings.messages import tell
from harness.settings.report import ReportSettings
from harness.study.choose import built_in_studies, choose_study
from harness.study.expand import expand
from harness.study.study import Study

PLAIN: dict[str, Any] = {
    "name": "plain",
    "seeds": [0],
    "workload": {"data": "digits", "model": "vgg_small"},
    "methods": {"dense": {}, "early_bird": {}},
}
CLAIM = {"text": "cheaper", "arm": "early_bird", "energy_at_most": 0.5}


def step(arm: str, factor: str = "precision") -> dict[str, str]:
    return {"factor": factor, "arm": arm}


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"claim": []}, ["report.claim", "'claims'"]),
        ({"margin_points": 0}, ["report.margin_points", "greater than 0"]),
        ({"claims": [{"text": "x", "arm": "early_bird"}]}, ["report.claims.0", "nothing to test"]),
        ({"retrainings_per_year": 2}, ["report", "needs inferences_per_day"]),
        ({"inferences_per_day": 0}, ["report.inferences_per_day", "greater than 0"]),
        ({"claims": [CLAIM | {"text": ""}]}, ["report.claims.0.text"]),
        ({"claims": [CLAIM | {"energy_at_most": 0}]}, ["report.claims.0.energy_at_most"]),
        ({"claims": [CLAIM | {"points_at_least": 101}]}, ["report.claims.0.points_at_least"]),
        ({"claims": [CLAIM, CLAIM | {"arm": "p=1"}]}, ["report.claims.1.arm", "KEY=VALUE"]),
        ({"claims": [CLAIM | {"against": "dense x"}]}, ["report.claims.0.against", "KEY=VALUE"]),
        ({"claims": [CLAIM | {"arm": " dense"}]}, ["report.claims.0", "with itself"]),
        ({"decomposition": {"steps": []}}, ["report.decomposition.steps", "must not be empty"]),
        (
            {"decomposition": {"steps": [step("dense")]}},
            ["report.decomposition", "'precision' stays at dense"],
        ),
        (
            {"decomposition": {"steps": [step("a x=1"), step("a  x=1", "pruning")]}},
            ["report.decomposition", "'pruning' stays"],
        ),
        (
            {"decomposition": {"steps": [step("early_bird", "f" * 41)]}},
            ["report.decomposition.steps.0.factor"],
        ),
    ],
)
def test_a_wrong_question_is_reported_in_words(report: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Study(**PLAIN, report=report)
    message = tell(caught.value, Study)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_every_choice_of_an_arm_is_listed_with_its_place() -> None:
    steps = [step("early_bird"), step("dense", "back")]
    settings = ReportSettings(
        claims=[CLAIM, CLAIM | {"against": "snip"}], decomposition={"steps": steps}
    )
    assert settings.arms() == {
        "report.claims.0.arm": "early_bird",
        "report.claims.0.against": "dense",
        "report.claims.1.arm": "early_bird",
        "report.claims.1.against": "snip",
        "report.decomposition.start": "dense",
        "report.decomposition.steps.0.arm": "early_bird",
        "report.decomposition.steps.1.arm": "dense",
    }
    assert ReportSettings().arms() == {}


def test_what_a_report_answers_decides_no_run() -> None:
    _, registry = choose_study(("quick",), (), (), (), ())
    asking, silent = (Study(**PLAIN, report=r) for r in ({"claims": [CLAIM]}, {}))
    assert [s.key for s in expand(asking, registry)] == [s.key for s in expand(silent, registry)]


@pytest.mark.parametrize("name", built_in_studies())
def test_every_arm_that_a_built_in_study_asks_for_is_one_of_its_own(name: str) -> None:
    study, registry = choose_study((name,), (), (), (), ())
    specs = expand(study, registry)
    assert study.report.claims
    for place, words in study.report.arms().items():
        chosen = Selector.parse(words)
        assert len({spec.arm for spec in specs if chosen.matches(spec)}) == 1, f"{place}: {words}"


@pytest.mark.parametrize("name", built_in_studies())
def test_built_in_claims_name_their_source_and_say_no_more_than_one_thing_twice(name: str) -> None:
    study, _ = choose_study((name,), (), (), (), ())
    claims = study.report.claims
    assert all(claim.source for claim in claims)
    tested = [claim.model_dump(exclude={"text", "source", "scale"}) for claim in claims]
    assert all(tested.count(each) == 1 for each in tested)


def test_the_decomposition_of_the_headline_changes_one_thing_at_a_time() -> None:
    study, registry = choose_study(("decompose-headline",), (), (), (), ())
    specs = expand(study, registry)
    asked = study.report.decomposition
    assert asked is not None
    arms = []
    for words in (asked.start, *(each.arm for each in asked.steps)):
        chosen = Selector.parse(words)
        arms.append(next(spec for spec in specs if chosen.matches(spec)))
    for before, after in pairwise(arms):
        assert (before.method == after.method) != (before.variant == after.variant)
    assert (arms[0].training.precision, arms[-1].training.precision) == ("fp32", "bf16")


def test_settings_survive_a_study_file() -> None:
    text = '[[claims]]\ntext = "x"\narm = "early_bird reinit=true"\npoints_at_least = 0\n'
    settings = ReportSettings(**tomllib.loads(text))
    assert ReportSettings(**settings.model_dump(mode="json")) == settings
    assert settings.claims[0].points_at_least == 0
