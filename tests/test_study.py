"""Studies: typed, swept, stable; wrong ones are refused with place and nearest right word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from harness.errors import UsageError
from harness.scheduler.ordering import Reliance
from harness.settings.messages import tell
from harness.settings.run_spec import RunSpec, folder_name, short_labels, short_labels_of
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study

PLAIN: dict[str, Any] = {
    "name": "plain",
    "seeds": [0, 1],
    "workload": {"data": "digits", "model": "vgg_small"},
    "methods": {"dense": {}, "early_bird": {"prune_ratio": [0.3, 0.7], "reinit": [False, True]}},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


def test_lists_are_swept_and_seeds_interleave_the_methods(registry: Registry) -> None:
    specs = expand(Study(**PLAIN), registry)
    assert len(specs) == 2 * (1 + 4)
    assert [spec.seed for spec in specs] == [0] * 5 + [1] * 5
    assert [spec.method for spec in specs].index("dense", 5) == 9
    ratios = {(s.hyperparameters["prune_ratio"], s.hyperparameters["reinit"]) for s in specs[1:5]}
    assert ratios == {(0.3, False), (0.3, True), (0.7, False), (0.7, True)}


def test_a_hyper_parameter_that_is_a_list_is_swept_by_a_list_of_lists() -> None:
    from harness import Method

    class Steps(Method):
        ratios: tuple[float, ...] = (0.5,)

        def phases(self, _budget: object) -> Any:
            yield from ()

    registry = Registry()
    registry.add(Steps, "test")
    plain = {**PLAIN, "seeds": [0]}
    one = expand(Study(**{**plain, "methods": {"steps": {"ratios": [0.1, 0.2]}}}), registry)
    two = expand(Study(**{**plain, "methods": {"steps": {"ratios": [[0.1], [0.2]]}}}), registry)
    assert [spec.hyperparameters["ratios"] for spec in one] == [[0.1, 0.2]]
    assert [spec.hyperparameters["ratios"] for spec in two] == [[0.1], [0.2]]


def test_the_key_is_stable_and_follows_what_decides_the_result(registry: Registry) -> None:
    [spec, *_] = expand(Study(**PLAIN), registry)
    # A constant, so that a change of any default that would mix old and new runs is noticed here.
    assert spec.key == "59f9e3c28821df09"
    elsewhere = spec.model_copy(update={"study": "other", "plugins": ("x.py",)})
    assert elsewhere.key == spec.key
    assert spec.model_copy(update={"seed": 5}).key != spec.key
    longer = spec.training.model_copy(update={"epochs": 3})
    assert spec.model_copy(update={"training": longer}).key != spec.key


def test_a_run_of_before_an_option_came_keeps_its_key(registry: Registry) -> None:
    [spec] = expand(Study(**{**PLAIN, "seeds": [0], "methods": {"lottery_ticket": {}}}), registry)
    saved = json.loads(spec.model_dump_json())
    del saved["hyperparameters"]["rewind_steps"], saved["training"]["graphs"]
    assert RunSpec(**saved).key == spec.key


def test_a_label_names_only_what_differs_from_the_defaults(registry: Registry) -> None:
    methods = {"early_bird": {"prune_ratio": [0.5, 0.7], "reinit": False}}
    specs = expand(Study(**{**PLAIN, "seeds": [0], "methods": methods}), registry)
    assert [spec.arm for spec in specs] == ["early_bird", "early_bird prune_ratio=0.7"]


def test_labels_are_as_short_as_they_can_be(registry: Registry) -> None:
    specs = expand(Study(**{**PLAIN, "seeds": [0]}), registry)
    labels = short_labels((spec.method, spec.hyperparameters) for spec in specs)
    assert labels[0] == "dense"
    assert labels[1] == "early_bird prune_ratio=0.3 reinit=False"
    assert short_labels([("early_bird", {"prune_ratio": 0.3})]) == ["early_bird"]


@pytest.mark.parametrize("arm", ["a/b", "../..", "x" * 200, "naïve", "", "a\nb"])
def test_folder_names_stay_in_their_folder_and_apart(arm: str) -> None:
    name = folder_name(arm)
    assert name
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name) < 100
    assert name != folder_name(arm + "!")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sedes": [0]}, ["sedes", "unknown key", "'seeds'"]),
        ({"seeds": []}, ["seeds", "must not be empty"]),
        ({"seeds": [0, 0]}, ["seeds", "once"]),
        ({"seeds": [-1]}, ["seeds.0", "greater than or equal to 0", "-1"]),
        ({"workload": {"data": "digit", "model": "vgg_small"}}, ["workload.data", "'digits'"]),
        ({"workload": {"data": "digits"}}, ["workload.model", "missing"]),
        ({"training": {"epocs": 3}}, ["training.epocs", "'epochs'"]),
        ({"training": {"schedule": "cosin"}}, ["training.schedule", "'cosine'"]),
        ({"training": {"learning_rate": float("nan")}}, ["training.learning_rate"]),
        ({"energy": {"meters": ["nvlm"]}}, ["energy.meters.0", "'nvml'"]),
        (
            {"energy": {"scope": "machine"}, "engine": {"at_once": 2}},
            ["energy.scope", "cannot be divided", "at_once"],
        ),
        ({"carbon": {"region": "texas"}}, ["carbon", "region is given without country"]),
        ({"carbon": {"country": "DEU", "cloud": "gcp/x"}}, ["carbon", "a place has one name"]),
        ({"carbon": {"region": "texas", "cloud": "gcp/x"}}, ["carbon", "a place has one name"]),
        ({"carbon": {"also": ["FRA", "FRA"]}}, ["carbon", "each place may be named once"]),
        ({"carbon": {"live": "electricitymap"}}, ["carbon.live", "'electricitymaps'"]),
        ({"carbon": {"live": "electricitymaps"}}, ["carbon", "live needs a country"]),
        (
            {"carbon": {"live": "electricitymaps", "country": "USA", "region": "ohio"}},
            ["carbon", "live needs a country without region"],
        ),
        ({"methods": {}}, ["methods"]),
        ({"name": "../x"}, ["name"]),
    ],
)
def test_a_wrong_study_is_reported_in_words(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Study(**{**PLAIN, **change})
    message = tell(caught.value, Study)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"earlybird": {}}, "did you mean 'early_bird'"),
        ({"early_bird": {"prune_rati": 0.5}}, r"early_bird.prune_rati: unknown key.*'prune_ratio'"),
        ({"early_bird": {"prune_ratio": -0.1}}, "early_bird.prune_ratio: should be greater than 0"),
        (
            {"early_bird": {"prune_ratio": []}},
            "prune_ratio: the list of values is empty",
        ),
        (
            {"early_bird": {"prune_ratio": [0.5, 2]}},
            "prune_ratio: should be less than 1",
        ),
        ({"progressive": {"retrain": "rewnd"}}, "progressive.retrain: 'rewnd'.*'rewind'"),
    ],
)
def test_wrong_methods_are_reported_in_words(
    methods: dict[str, Any], message: str, registry: Registry
) -> None:
    with pytest.raises(UsageError, match=message):
        expand(Study(**{**PLAIN, "methods": methods}), registry)


def test_a_list_of_tables_is_one_set_after_the_other(registry: Registry) -> None:
    methods = {"early_bird": [{"prune_ratio": [0.3, 0.7]}, {"reinit": True}]}
    specs = expand(Study(**{**PLAIN, "seeds": [0], "methods": methods}), registry)
    chosen = [(s.hyperparameters["prune_ratio"], s.hyperparameters["reinit"]) for s in specs]
    assert chosen == [(0.3, False), (0.7, False), (0.5, True)]


VARIANTS = {
    "usual": {"workload": {"input": "loader", "workers": 1}, "training": {"fused": False}},
    "bf16": {"training": {"precision": "bf16"}},
}


def test_every_method_runs_in_every_variant_side_by_side(registry: Registry) -> None:
    specs = expand(Study(**{**PLAIN, "methods": {"dense": {}}, "variants": VARIANTS}), registry)
    assert [spec.arm for spec in specs] == [
        *("dense variant=usual", "dense variant=bf16"),
        *("dense variant=bf16", "dense variant=usual"),  # the other seed begins with the other
    ]
    usual, bf16 = specs[:2]
    assert (usual.workload.input, usual.workload.workers, usual.training.fused) == (
        *("loader", 1),
        False,
    )
    assert (bf16.workload.input, bf16.training.precision) == ("auto", "bf16")
    assert usual.key != bf16.key
    assert short_labels_of(specs[:2]) == ["dense variant=usual", "dense variant=bf16"]


def test_where_the_data_lie_does_not_decide_the_result(registry: Registry) -> None:
    here, there = (
        expand(Study(**{**PLAIN, "workload": {**PLAIN["workload"], **changed}}), registry)[0]
        for changed in ({"root": "/a", "workers": 1}, {"root": "/b", "download": True})
    )
    assert here.key == there.key


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"training": {"precison": "bf16"}}, r"variants\.x\.training\.precison: .*'precision'"),
        ({"training": {"epochs": 0}}, r"variants\.x\.training\.epochs: should be greater"),
        ({"workload": {"workers": -1}}, r"variants\.x\.workload\.workers: should be greater"),
    ],
)
def test_wrong_variants_are_reported_in_words(
    variant: dict[str, Any], message: str, registry: Registry
) -> None:
    with pytest.raises(UsageError, match=message):
        expand(Study(**{**PLAIN, "variants": {"x": variant}}), registry)


def test_a_variant_may_not_change_what_is_trained_on() -> None:
    with pytest.raises(ValidationError) as caught:
        Study(**{**PLAIN, "variants": {"x": {"workload": {"data": "mnist"}}}})
    assert "variants.x.workload.data" in tell(caught.value, Study)


def test_what_builds_on_another_run_comes_after_it_in_every_seed(registry: Registry) -> None:
    methods = {"small_dense": {}, "dense_short": {"match": "early_bird"}, "early_bird": {}}
    study = Study(**{**PLAIN, "seeds": [0, 1, 2, 3], "methods": {**methods, "dense": {}}})
    names = [spec.method for spec in expand(study, registry)]
    for seed in range(4):
        order = names[4 * seed : 4 * seed + 4]
        assert order.index("small_dense") > order.index("early_bird")
        assert order.index("dense_short") > max(order.index("early_bird"), order.index("dense"))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"small_dense": {}}, "small_dense: requires a run of early_bird; add that method"),
        (
            {"small_dense": {}, "early_bird": {"prune_ratio": [0.3, 0.5]}},
            'of which the study has 2; name one of them, such as "early_bird prune_ratio=0.3"',
        ),
        ({"dense": [{}, {}]}, "dense: named twice with the same hyper-parameters"),
    ],
)
def test_what_cannot_build_on_another_run_is_reported_before_any(
    methods: dict[str, Any], message: str, registry: Registry
) -> None:
    with pytest.raises(UsageError, match=message):
        expand(Study(**{**PLAIN, "methods": methods}), registry)


def test_one_arm_of_a_sweep_can_be_built_on(registry: Registry) -> None:
    """In every seed after the arm that is named, wherever the others stand."""
    match = ["early_bird prune_ratio=0.3", "early_bird prune_ratio=0.7"]
    methods = {
        "dense_short": {"match": match},
        "small_dense": [{"of": match[1]}, {"share": [0.25, 0.5]}],
        "early_bird": {"prune_ratio": [0.3, 0.5, 0.7]},
        "dense": {},
    }
    specs = expand(Study(**{**PLAIN, "seeds": [0, 1, 2], "methods": methods}), registry)
    labels = [spec.arm for spec in specs]
    assert "dense_short match='early_bird prune_ratio=0.3'" in labels
    assert "small_dense share=0.25" in labels
    reliance = Reliance(specs, registry)
    for number, spec in enumerate(specs):
        found = reliance(spec)
        wanted = {
            "dense_short": {"dense", str(spec.hyperparameters.get("match"))},
            "small_dense": {str(spec.hyperparameters.get("of"))},
        }.get(spec.method, set())
        if spec.hyperparameters.get("share") is not None:
            wanted = set()
        assert {each.arm for each in found} == wanted
        assert all(each.seed == spec.seed for each in found)
        assert all(specs.index(each) < number for each in found)


def test_an_arm_that_is_not_there_cannot_be_built_on(registry: Registry) -> None:
    methods = {
        "dense_short": {"match": "early_bird prune_ratio=0.4"},
        "early_bird": {},
        "dense": {},
    }
    with pytest.raises(UsageError, match=r"requires a run of early_bird prune_ratio=0\.4; add"):
        expand(Study(**{**PLAIN, "methods": methods}), registry)
    methods["dense_short"] = {"match": "early_bird 0.4"}
    wrong = r"methods\.dense_short.*'early_bird 0\.4': expected METHOD"
    with pytest.raises(UsageError, match=wrong):
        expand(Study(**{**PLAIN, "methods": methods}), registry)


def test_methods_that_wait_for_each_other_are_reported() -> None:
    from harness import Method

    class One(Method):
        def relies_on(self) -> tuple[str, ...]:
            return ("two",)

        def phases(self, _budget: object) -> Any:
            yield from ()

    class Two(One):
        def relies_on(self) -> tuple[str, ...]:
            return ("one",)

    registry = Registry()
    registry.add(One, "test")
    registry.add(Two, "test")
    with pytest.raises(UsageError, match="circular dependency: one, two"):
        expand(Study(**{**PLAIN, "methods": {"one": {}, "two": {}}}), registry)
