"""The commands for published claims: `claims`, `claims show` and `claims test`."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.cli.default_command import GroupWithDefault


def _complete_ids(_context: object, _parameter: object, begun: str) -> list[CompletionItem]:
    from harness.study.claim_registry import claim_ids

    return [CompletionItem(each) for each in claim_ids() if each.startswith(begun)]


@click.group(cls=GroupWithDefault, default="list")
def claims() -> None:
    """List published claims with their verdicts, show one, or test one.

    The default command is `list`. A verdict is never more than its records show, and says at which
    scale: most claims are tested on smaller data and networks than were published.

    \b
    Examples:
      python -m harness claims
      python -m harness claims results/laptop-vision --page claims.html
      python -m harness claims show early-bird-digits
      python -m harness claims test early-bird-digits
    """  # noqa: D301


@claims.command("list")
@click.argument("folders", metavar="[DIR]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--page", metavar="FILE", help="Write a page that sorts and opens offline.")
def list_(**options: Any) -> None:
    """List all claims with the verdicts of the results in DIR.

    Each DIR has the results of one built-in study. Without DIR, the verdicts are those of the
    records that come with the harness.

    \b
    Examples:
      python -m harness claims
      python -m harness claims results/quick results/laptop-vision --json
      python -m harness claims --page claims.html
    """  # noqa: D301
    from harness.cli.claims import list_claims

    list_claims(**options)


@claims.command()
@click.argument("claim_id", metavar="ID", shell_complete=_complete_ids)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(**options: Any) -> None:
    """Show one claim: what was published where, how it is tested here, and the verdict.

    \b
    Example:
      python -m harness claims show early-bird-digits
    """  # noqa: D301
    from harness.cli.claims import show_claim

    show_claim(**options)


@claims.command()
@click.argument("claim_id", metavar="ID", shell_complete=_complete_ids)
@click.option("--out", metavar="DIR", help="Results folder.  [default: results/<study>]")
def test(**options: Any) -> None:
    """Run what a claim needs of its study, with all seeds, and print the verdict.

    These are the two arms that it compares, and the runs that they build on; the same command
    resumes. Exit code 2, before any run, if data or a GPU are missing that it needs.

    \b
    Example:
      python -m harness claims test early-bird-digits
    """  # noqa: D301
    from harness.cli.claims import test_claim

    sys.exit(test_claim(**options))
