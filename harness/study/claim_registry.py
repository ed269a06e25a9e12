"""The registry of published claims: a TOML file each in `claims/`, with how to test it here.

`claims/verdicts.json` has what the records in `benchmarks/` show of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from harness.errors import UsageError, nearest
from harness.settings import messages
from harness.settings.report import Claim
from harness.settings.settings import Settings

FOLDER = files("harness.study").joinpath("claims")
SHIPPED_VERDICTS = FOLDER.joinpath("verdicts.json")
"""What `benchmarks/claim_verdicts.py` derives from the records in `benchmarks/`."""
GPU = "a GPU"
"""Among what a test needs: it is looked for before anything is run."""

ClaimVerdict = Literal["supported", "not supported", "inconclusive", "not tested"]
VERDICTS: tuple[ClaimVerdict, ...] = get_args(ClaimVerdict)
"""In the order in which they are listed."""

Words = Annotated[str, Field(min_length=1)]


class ClaimTest(Claim):
    """How a claim is tested here: two arms of a built-in study, and bounds."""

    study: Words
    """The built-in study that has the two arms."""
    scale: Words
    """How far the study is from the published workload, in one sentence without its full stop."""
    full_scale: bool = False
    """Whether data, network and length are those that were published."""
    needs: tuple[Words, ...] = ()
    """What it takes beyond two CPU cores and the packages of the harness, such as "a GPU"."""
    lacks: str = ""
    """What is missing here, such as a method; no study asks for the claim until it is there."""


class RegisteredClaim(Settings):
    """A published claim, and how it is tested here."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """Names it in study files and on the command line."""
    text: Words
    """The statement, in its authors' words where possible."""
    source: Words
    """Authors, place and year, and the table or section."""
    doi: str = ""
    """The publication's DOI."""
    arxiv: str = ""
    """Its number on arXiv, such as "1909.11957"."""
    workload: Words
    """Data and networks, as printed there."""
    figure: str = ""
    """The figure as printed; empty for a claim in words alone."""
    measured_there: Words
    """What was measured there, and how."""
    test: ClaimTest

    @model_validator(mode="before")
    @classmethod
    def _test_has_text_and_source(cls, values: Any) -> Any:
        found = f"{values.get('source')}, {values.get('workload')}"
        source = f"{found}: {values['figure']}" if values.get("figure") else found
        return {
            **values,
            "test": {"text": values.get("text"), "source": source, **values.get("test", {})},
        }

    @property
    def at_scale(self) -> str:
        """The scale of its verdict: "at a smaller scale: ..."."""
        which = "the published" if self.test.full_scale else "a smaller"
        return f"at {which} scale: {self.test.scale}"

    @property
    def link(self) -> str:
        """Address of the publication; empty where it has neither number."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else ""

    @property
    def asked(self) -> Claim:
        """What a study's report asks."""
        return Claim(
            **{**self.test.model_dump(include={*Claim.model_fields}), "scale": self.at_scale}
        )


Limits = tuple[float | None, float | None, float | None]
"""Mean, low and high (95 %) of an interval; None for what is not known."""


class Verdict(Settings):
    """What records show of a registered claim, at the scale of its test and never more."""

    verdict: ClaimVerdict
    by: str = ""
    """The kind of energy that it rests on, where no sensor measured all of it."""
    reason: str = ""
    """What decided against it, left it open, or kept it from being tested."""
    energy_ratio: Limits | None = None
    """Energy of its arm over the other's, geometric mean."""
    energy_kind: str = ""
    """`measured`, `estimated`, `simulated` or partly so."""
    score_difference: Limits | None = None
    """Test score of its arm minus the other's, in `score_unit`."""
    score_unit: str = ""
    """Such as "points"."""
    n: int = 0
    """Pairs of runs with the same seed."""
    records: str = ""
    """The folder of the records."""

    @property
    def words(self) -> str:
        """The verdict with the kind of energy: "supported, by estimated energy"."""
        return f"{self.verdict}, by {self.by} energy" if self.by else self.verdict


_WHERE = ("study", "scale", "full_scale", "needs")
"""What a test may take from another claim's; bounds are always its own."""


def claim_ids() -> list[str]:
    """Ids of all registered claims, in alphabetical order."""
    return sorted(
        each.name.removesuffix(".toml") for each in FOLDER.iterdir() if each.name.endswith(".toml")
    )


@cache
def registered_claim(claim_id: str) -> RegisteredClaim:
    """A registered claim.

    A file with `of = "ID"` has that claim's publication, but for what it says itself; and where its
    test names no study, that claim's study, scale and needs.

    Raises:
        UsageError: There is none of this id; the message names the nearest.
    """
    return RegisteredClaim(id=claim_id, **_read(claim_id))


def _read(claim_id: str) -> dict[str, Any]:
    if claim_id not in claim_ids():
        raise UsageError(f"claim '{claim_id}' is unknown; {nearest(claim_id, claim_ids())}")
    own = messages.parse(FOLDER.joinpath(f"{claim_id}.toml").read_text("utf-8"))
    if "of" not in own:
        return own
    other = _read(own.pop("of"))
    if "study" not in own["test"]:
        own["test"] = {key: other["test"][key] for key in _WHERE if key in other["test"]} | own[
            "test"
        ]
    return other | own


def registered_claims() -> list[RegisteredClaim]:
    """All registered claims, by id."""
    return [registered_claim(claim_id) for claim_id in claim_ids()]


def shipped_verdicts() -> dict[str, Verdict]:
    """By id, what the records show that are committed beside the package's source."""
    saved = json.loads(SHIPPED_VERDICTS.read_text("utf-8"))
    return {claim_id: Verdict(**found) for claim_id, found in saved.items()}


def not_tested(claim: RegisteredClaim) -> Verdict:
    """The verdict where there is no record, with what a test takes."""
    if claim.test.lacks:
        return Verdict(verdict="not tested", reason=f"lacks {claim.test.lacks}")
    needs = f", and needs {' and '.join(claim.test.needs)}" if claim.test.needs else ""
    return Verdict(verdict="not tested", reason=f"no records yet{needs}")


def claims_and_verdicts(
    verdicts: Mapping[str, Verdict],
) -> list[tuple[RegisteredClaim, Verdict]]:
    """All registered claims with their verdicts by id, the decided ones first."""
    found = [(claim, verdicts.get(claim.id) or not_tested(claim)) for claim in registered_claims()]
    return sorted(found, key=lambda each: (VERDICTS.index(each[1].verdict), each[0].id))


def look_up_claims(settings: dict[str, Any], origin: str) -> None:
    """Put registered claims in the place of their ids in a study's `report.claims`.

    Args:
        settings: The study, not yet validated.
        origin: What to call it in a message.

    Raises:
        UsageError: There is no claim of an id.
    """
    report = settings.get("report")
    asked = report.get("claims") if isinstance(report, dict) else None
    if not isinstance(report, dict) or not isinstance(asked, list):
        return  # whatever else it is, the study's own check reports it
    found = []
    for number, claim in enumerate(asked):
        try:
            by_id = isinstance(claim, str)
            found.append(registered_claim(claim).asked.model_dump() if by_id else claim)
        except UsageError as error:
            raise UsageError(f"{origin}: report.claims.{number}: {error}") from None
    settings["report"] = {**report, "claims": found}
