"""The registry of published claims: a TOML file each in `claims/`, with how to test it here."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import Field, model_validator

from harness.errors import UsageError, nearest
from harness.settings import messages
from harness.settings.report import Claim
from harness.settings.settings import Settings

FOLDER = files("harness.study").joinpath("claims")
GPU = "a GPU"
"""Among what a test needs: it is looked for before anything is run."""

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
