"""Derives the verdicts on registered claims that come with the package.

From the raw records in the folders beside this file: `python benchmarks/claim_verdicts.py` writes
harness/study/claims/verdicts.json, which `python -m harness claims` shows.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.study.choose import built_in_studies
from harness.study.claim_registry import Verdict
from reports.tables.registered_claims import verdicts_in

REPOSITORY = Path(__file__).resolve().parents[1]
OUT = REPOSITORY / "harness" / "study" / "claims" / "verdicts.json"


def derived() -> dict[str, Verdict]:
    """By id, the verdicts of all records here of built-in studies; ids in alphabetical order."""
    studies = (REPOSITORY / "benchmarks").glob("*/study.json")
    built_in = set(built_in_studies())
    here = sorted(
        path.parent for path in studies if json.loads(path.read_text())["name"] in built_in
    )
    found = verdicts_in({path.relative_to(REPOSITORY).as_posix(): path for path in here})
    return dict(sorted(found.items()))


def main() -> None:
    """Write the file."""
    verdicts = {claim_id: verdict.model_dump() for claim_id, verdict in derived().items()}
    text = json.dumps(verdicts, indent=2, ensure_ascii=False)
    OUT.write_text(f"{text}\n", "utf-8", newline="\n")
    click.echo(f"{len(verdicts)} verdicts in {OUT.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
