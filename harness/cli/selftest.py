"""`selftest`: whether this installation is sound, a line each."""

from __future__ import annotations

import json

import click

from harness.cli.check_line import check_line
from harness.errors import ExitCode
from harness.selftest import selftest

WHAT_TO_DO = "install into a fresh environment; if it stays so, report it"


def try_installation(*, as_json: bool) -> ExitCode:
    """Try it and say what was found; 3 if something is not as it must be."""
    findings = []
    for finding in selftest():
        findings.append(finding)
        if not as_json:
            todo = None if finding.holds else WHAT_TO_DO
            click.echo(check_line(ok=finding.holds, text=finding.text, todo=todo))
    is_sound = all(finding.holds for finding in findings)
    if as_json:
        listed = [{"sound": each.holds, "what": each.text} for each in findings]
        click.echo(json.dumps({"sound": is_sound, "findings": listed}))
    return ExitCode.DONE if is_sound else ExitCode.RUNS_FAILED
