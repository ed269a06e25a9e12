"""The registry of claims: every file is whole, can be tested here, and is written once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.errors import UsageError
from harness.settings.arm_selector import Selector
from harness.study.choose import built_in_studies, choose_study
from harness.study.claim_registry import (
    GPU,
    RegisteredClaim,
    claim_ids,
    look_up_claims,
    registered_claim,
    registered_claims,
)
from harness.study.expand import expand

CLAIM = {"text": "cheaper", "arm": "early_bird", "energy_at_most": 0.5}
PUBLISHED = {
    "id": "cheap",
    "text": "cheaper",
    "source": "Author et al., 2024",
    "workload": "a network on data",
    "measured_there": "seconds",
}
TEST = {"study": "quick", "scale": "digits", "arm": "early_bird", "energy_at_most": 0.5}


def test_there_are_claims_enough_and_most_need_no_gpu() -> None:
    claims = registered_claims()
    assert len({(claim.arxiv, claim.text) for claim in claims}) >= 16
    on_two_cores = [c for c in claims if GPU not in c.test.needs and not c.test.lacks]
    assert len({(claim.arxiv, claim.text) for claim in on_two_cores}) >= 10
    assert not any(claim.test.full_scale for claim in on_two_cores)


@pytest.mark.parametrize("study", built_in_studies())
def test_the_arms_of_a_test_are_the_studys_and_its_report_asks_for_it(study: str) -> None:
    chosen, registry = choose_study((study,), (), (), (), ())
    specs = expand(chosen, registry)
    for claim in registered_claims():
        if claim.test.study != study:
            continue
        arms = [Selector.parse(words) for words in (claim.test.arm, claim.test.against)]
        answers = [len({spec.arm for spec in specs if arm.matches(spec)}) for arm in arms]
        if claim.test.lacks:
            assert claim.asked not in chosen.report.claims, claim.id
            continue
        assert answers == [1, 1], claim.id
        assert claim.asked in chosen.report.claims, f"{study} does not ask for {claim.id}"


@pytest.mark.parametrize("claim_id", claim_ids())
def test_a_claim_says_where_it_is_from_and_how_it_is_tested(claim_id: str) -> None:
    claim = registered_claim(claim_id)
    assert claim.test.study in built_in_studies()
    assert claim.arxiv or claim.doi
    assert re.fullmatch(r"(\d{4}\.\d{4,5})?", claim.arxiv)
    assert not claim.test.scale.endswith(".")
    data = choose_study((claim.test.study,), (), (), (), ())[0].workload.data
    assert (GPU in claim.test.needs) == data.startswith(("cifar", "imagenet"))


def test_a_study_asks_by_id_and_holds_the_whole_claim() -> None:
    study, _ = choose_study(("quick",), (), (), ('report.claims=["early-bird-short"]',), ())
    [asked] = study.report.claims
    assert asked.arm == "early_bird prune_ratio=0.5"
    assert asked.source.startswith("You et al., ICLR 2020, abstract")
    assert asked.scale.startswith("at a smaller scale: ResNet-18 on CIFAR-10 for 24 epochs")


def test_a_study_file_with_tables_and_ids_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nseeds = [0]\n[workload]\ndata = "digits"\nmodel = "vgg_small"\n'
        "[methods.dense]\n[methods.early_bird]\n[report]\n"
        'claims = ["early-bird-digits", { text = "x", arm = "early_bird", energy_at_most = 1 }]\n'
    )
    study, _ = choose_study((str(file),), (), (), (), ())
    assert [claim.text[:10] for claim in study.report.claims] == ["Early-Bird", "x"]
    assert study.report.claims[1].scale == ""


def test_an_id_that_is_unknown_is_refused_with_its_place_and_the_nearest() -> None:
    report = {"claims": [CLAIM, "early-brid-digits"]}
    with pytest.raises(UsageError, match=r"mine: report\.claims\.1: .*'early-bird-digits'"):
        look_up_claims({"report": report}, "mine")


@pytest.mark.parametrize("report", [None, 3, {}, {"claims": 3}, {"claims": [CLAIM, 3]}])
def test_what_is_no_id_is_left_to_the_studys_own_check(report: object) -> None:
    settings = {"report": report}
    look_up_claims(settings, "mine")
    assert settings == {"report": report}


def test_another_claims_publication_and_study_are_taken_but_never_its_bounds() -> None:
    base, other = (registered_claim(f"early-bird-cifar10-p{p}-snip") for p in (30, 50))
    assert (other.source, other.arxiv, other.measured_there) == (
        base.source,
        base.arxiv,
        base.measured_there,
    )
    assert (other.test.study, other.test.needs) == (base.test.study, base.test.needs)
    assert (other.figure, other.test.energy_at_most) != (base.figure, base.test.energy_at_most)
    elsewhere = registered_claim("early-bird-short")
    assert elsewhere.text == registered_claim("early-bird-digits").text
    assert elsewhere.test.scale != registered_claim("early-bird-digits").test.scale


def test_a_claim_without_bound_or_scale_is_none() -> None:
    assert RegisteredClaim(**PUBLISHED, test=TEST).at_scale == "at a smaller scale: digits"
    full = RegisteredClaim(**PUBLISHED, test={**TEST, "full_scale": True})
    assert full.asked.scale == "at the published scale: digits"
    for wrong in ({"energy_at_most": None}, {"scale": ""}, {"study": ""}):
        with pytest.raises(ValidationError):
            RegisteredClaim(**PUBLISHED, test={**TEST, **wrong})
