"""Selectors: words that mean one arm, whatever way its values are written."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.settings.arm_selector import Selector
from harness.settings.run_spec import RunSpec, short_labels_of
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study

STUDY = {
    "name": "plain",
    "seeds": [0],
    "workload": {"data": "digits", "model": "vgg_small"},
    "methods": {
        "dense": {},
        "early_bird": {"prune_ratio": [0.3, 0.7], "reinit": [False, True], "l1_gamma": 1e-4},
    },
    "variants": {"fp32": {}, "bf16": {"training": {"precision": "bf16"}}},
}


@pytest.fixture(scope="module")
def specs() -> list[RunSpec]:
    return expand(Study(**STUDY), Registry.discover())


def matching(words: str, specs: list[RunSpec]) -> list[RunSpec]:
    return [spec for spec in specs if Selector.parse(words).matches(spec)]


def test_every_label_of_a_study_selects_its_own_arm(specs: list[RunSpec]) -> None:
    assert len(specs) == 10
    for label, spec in zip(short_labels_of(specs), specs, strict=True):
        assert matching(label, specs) == [spec]
        assert matching(spec.arm, specs)[0].method == spec.method


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("early_bird", 8),
        ("early_bird prune_ratio=0.3", 4),
        ("early_bird prune_ratio=0.30 reinit=true variant=bf16", 1),
        ("early_bird prune_ratio=3e-1 reinit=True variant=bf16", 1),
        ("early_bird l1_gamma=1e-4", 8),
        ("early_bird low_precision=none search_epochs=None", 8),
        ("  early_bird   prune_ratio=0.3  ", 4),
        ("early_bird prune_ratio=0.31", 0),
        ("early_bird reinit=yes", 0),
        ("early_bird prune_ratio=[0.3", 0),
        ("early_bird sparsity=0.3", 0),
        ("dense variant=lean", 0),
        ("snip", 0),
    ],
)
def test_values_are_read_as_study_files_write_them(
    words: str, count: int, specs: list[RunSpec]
) -> None:
    assert len(matching(words, specs)) == count


def test_a_study_without_variants_has_none_to_select() -> None:
    [spec] = expand(
        Study(**{**STUDY, "methods": {"dense": {}}, "variants": {}}), Registry.discover()
    )
    assert matching("dense", [spec])
    assert not matching("dense variant=bf16", [spec])


@pytest.mark.parametrize(
    "words", ["", "  ", "prune_ratio=0.3", "early_bird 0.3", "early_bird =0.3", "early_bird p="]
)
def test_what_is_no_selector_is_reported(words: str) -> None:
    with pytest.raises(ValueError, match="expected METHOD"):
        Selector.parse(words)


def test_a_value_given_twice_is_reported() -> None:
    with pytest.raises(ValueError, match="gives a value twice"):
        Selector.parse("early_bird prune_ratio=0.3 prune_ratio=0.7")


CLAIM: dict[str, Any] = {"text": "cheaper", "arm": "early_bird", "energy_at_most": 1.0}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (
            {"claims": [CLAIM | {"against": "dense variant=fp23"}]},
            r"report\.claims\.0\.against: variant 'fp23' is unknown; did you mean 'fp32'",
        ),
        (
            {"claims": [CLAIM | {"arm": "early_brd"}]},
            r"claims\.0\.arm: .* did you mean 'early_bird'",
        ),
        (
            {"claims": [CLAIM | {"arm": "early_bird prune_rati=0.3"}]},
            r"report\.claims\.0\.arm: early_bird has no 'prune_rati'; did you mean 'prune_ratio'",
        ),
        (
            {
                "decomposition": {
                    "start": "dense variant=fp32",
                    "steps": [{"factor": "f", "arm": "dense varient=bf16"}],
                }
            },
            r"decomposition\.steps\.0\.arm: dense has no 'varient'; .* 'variant'",
        ),
    ],
)
def test_a_study_whose_report_speaks_of_what_there_is_not_is_refused(
    report: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        expand(Study(**STUDY, report=report), Registry.discover())


def test_claims_on_several_arms_are_no_mistake() -> None:
    """A sweep from the command line must not be refused over the claims of a built-in study."""
    study = Study(**STUDY, report={"claims": [CLAIM]})
    assert len(expand(study, Registry.discover())) == len(
        expand(Study(**STUDY), Registry.discover())
    )


def test_claims_on_methods_that_are_left_out_of_a_run_are_no_mistake() -> None:
    claim = CLAIM | {"arm": "early_bird prune_ratio=0.3", "against": "snip"}
    study = Study(**{**STUDY, "methods": {"dense": {}}}, report={"claims": [claim]})
    assert len(expand(study, Registry.discover())) == 2
