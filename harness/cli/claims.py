"""`claims`: published claims and what records show of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ExitCode, UsageError
from harness.study.claim_registry import (
    GPU,
    VERDICTS,
    RegisteredClaim,
    Verdict,
    claims_and_verdicts,
    not_tested,
    registered_claim,
    shipped_verdicts,
)

if TYPE_CHECKING:
    from harness.results.folder import StudyFolder
    from harness.settings.run_spec import RunSpec


def list_claims(folders: Sequence[str], *, as_json: bool, page: str | None) -> None:
    """Print all claims with their verdicts, the decided ones first.

    Args:
        folders: Results of one built-in study each; the records of the package if there are none.
        as_json: Print one JSON object.
        page: Where to write an HTML page.

    Raises:
        UsageError: A folder holds no results, or none that a claim is about, or the page cannot be
            written.
    """
    found = claims_and_verdicts(_verdicts_in(folders) if folders else shipped_verdicts())
    if page is not None:
        _write_page(found, page)
    if as_json:
        document = {"claims": [_as_object(*each) for each in found]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _print(found)
    if page is not None:
        click.echo(f"page  {page}")


def _verdicts_in(folders: Sequence[str]) -> Mapping[str, Verdict]:
    from harness.results.folder import StudyFolder

    paths = [Path(folder) for folder in folders]
    for path in paths:
        StudyFolder(path).read_study()  # each, before one takes its time
    from reports.tables.registered_claims import verdicts_in

    return verdicts_in({str(path): path for path in paths})


def _write_page(found: Sequence[tuple[RegisteredClaim, Verdict]], page: str) -> None:
    from reports.html.claims_page import write_claims_page
    from reports.tables.registered_claims import registry_table

    try:
        write_claims_page(registry_table(found), Path(page))
    except OSError as error:
        raise UsageError(f"--page {page}: {error.strerror}") from None


def _print(found: Sequence[tuple[RegisteredClaim, Verdict]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("claim", overflow="fold")
    table.add_column("verdict", min_width=13)
    table.add_column("at which scale, or why not", ratio=1)
    for claim, verdict in found:
        detail = verdict.reason if verdict.verdict == "not tested" else claim.at_scale
        table.add_row(claim.id, verdict.words, detail)
    Console(highlight=False, markup=False, emoji=False).print(table)
    counts = Counter(verdict.verdict for _, verdict in found)
    counted = ", ".join(f"{counts[each]} {each}" for each in VERDICTS if counts[each])
    click.echo(f"\n{len(found)} claims: {counted}. `python -m harness claims show ID` says more.")


def _as_object(claim: RegisteredClaim, verdict: Verdict) -> dict[str, Any]:
    test = claim.test.model_dump(exclude={"text", "source", "scale"}) | {"scale": claim.at_scale}
    return {
        **claim.model_dump(exclude={"test"}),
        "link": claim.link,
        "test": test,
        "verdict": verdict.model_dump(),
    }


def show_claim(claim_id: str, *, as_json: bool) -> None:
    """Print one claim, with the verdict of the package's records.

    Raises:
        UsageError: There is none of this id.
    """
    claim = registered_claim(claim_id)
    verdict = shipped_verdicts().get(claim_id) or not_tested(claim)
    if as_json:
        click.echo(json.dumps(_as_object(claim, verdict), indent=2, ensure_ascii=False))
        return
    test = claim.test
    facts = {
        "published": f"{claim.source} {claim.link}".strip(),
        "there": ": ".join(filter(None, (claim.workload, claim.figure))),
        "measured there": claim.measured_there,
        "tested here": f"{test.arm} against {test.against}, in the study {test.study}",
        "scale": claim.at_scale,
        "bounds": ", ".join(_bounds(claim)),
        "needs": ", ".join(test.needs),
        "lacks": test.lacks,
        "verdict": verdict.words,
        "energy": f"{_limits(verdict.energy_ratio)} of the other's, {verdict.energy_kind}"
        if verdict.energy_ratio
        else "",
        "score": f"{_limits(verdict.score_difference, '+')} {verdict.score_unit}"
        if verdict.score_difference
        else "",
        "pairs of seeds": str(verdict.n or ""),
        "reason": verdict.reason,
        "records": verdict.records,
    }
    click.echo(f"{claim.id}\n\n{claim.text}\n")
    for name, value in facts.items():
        if value:
            click.echo(f"{name:15} {value}")


def _bounds(claim: RegisteredClaim) -> list[str]:
    test = claim.test
    found = []
    if test.energy_at_most is not None:
        found.append(f"energy at most {test.energy_at_most:g} of the other's")
    if test.points_at_least is not None:
        found.append(f"score at least {test.points_at_least:+g} points")
    if test.worse_at_most is not None:
        found.append(f"score at most {test.worse_at_most:g} worse")
    return found


def _limits(values: tuple[float | None, ...], sign: str = "") -> str:
    mean, low, high = (None if each is None else f"{each:{sign}.3g}" for each in values)
    return f"{mean} ({low} … {high})" if low and high else str(mean)


def test_claim(claim_id: str, out: str | None) -> ExitCode:
    """Run the arms that a claim compares, with what they build on; then print its verdict.

    Args:
        claim_id: The claim.
        out: The results folder; `results/<study>` if not given.

    Raises:
        UsageError: There is no such claim, or something that it needs is not here.
    """
    claim = registered_claim(claim_id)
    if claim.test.lacks:
        raise UsageError(f"claim '{claim_id}' cannot be tested yet: it lacks {claim.test.lacks}")
    study = claim.test.study
    from harness.results.folder import StudyFolder
    from harness.scheduler.ordering import Reliance
    from harness.scheduler.resources import gpus_here
    from harness.study.choose import choose_study
    from harness.study.expand import expand

    if GPU in claim.test.needs and not gpus_here():
        raise UsageError(
            f"claim '{claim_id}' needs {' and '.join(claim.test.needs)}, and this machine has no "
            "GPU that CUDA may use"
        )
    chosen, registry = choose_study((study,), (), (), (), ())
    specs = expand(chosen, registry)
    arms = (claim.test.arm, claim.test.against)
    needed = Reliance(specs, registry).only(specs, arms)
    folder = StudyFolder(Path(out) if out else Path("results") / study)
    click.echo(f"claim {claim_id}: {costs(folder, needed)}")
    from harness.cli.run import run_study

    code = run_study(
        (study,), (), out, (), (), (),
        until_decided=None, values="{}", when_below=None, greenest_within=None,
        retry_failed=False, require_measured=False, wants_report=True, wait=False, metrics=None,
        arms=arms,
    )  # fmt: skip
    verdict = _verdicts_in([str(folder.path)])[claim_id]
    why = f"; {verdict.reason}" if verdict.reason else ""
    click.echo(f"\n{claim_id}: {verdict.words}, {claim.at_scale}{why}")
    return code


def costs(folder: StudyFolder, specs: list[RunSpec]) -> str:
    """How many runs are needed, and what those that are left will take, where that is known."""
    from harness.energy.carbon.factor import JOULES_PER_KWH
    from harness.results.forecast import finished, forecast

    arms = [arm for arm in forecast(folder, specs, finished(folder, specs)) if arm.left]
    left = sum(arm.left for arm in arms)
    runs = f"{len(specs)} runs, {left} to do"
    time_s = [arm.time_s.value for arm in arms if arm.time_s]
    energy_j = [arm.energy_j.value for arm in arms if arm.energy_j]
    if not left:
        return runs
    if len(time_s) < len(arms) or len(energy_j) < len(arms):
        return f"{runs}; hours and kWh are known once a run of each arm is done"
    return f"{runs}, about {sum(time_s) / 3600:.2g} h and {sum(energy_j) / JOULES_PER_KWH:.2g} kWh"
