"""`compare`: two result sets, arm by arm, and thresholds for a gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ExitCode, UsageError
from harness.results.folder import StudyFolder
from reports.statistics.threshold import Threshold

if TYPE_CHECKING:
    from reports.statistics.comparison import Comparison
    from reports.statistics.result_set import ResultSet
    from reports.statistics.threshold_check import Checked


def compare_results(
    first: str, second: str, thresholds: tuple[str, ...], as_json: bool, as_markdown: bool
) -> ExitCode:
    """Print how the results in one folder differ from those in another.

    Args:
        first: Results of one study: A.
        second: Results of one study, held against A: B.
        thresholds: What B may change by at most, such as "energy:+5%".
        as_json: Print the object that `reports.tables.comparison` documents.
        as_markdown: Print Markdown, for a comment on a change.

    Returns:
        THRESHOLD if a threshold is exceeded or cannot be checked, else DONE.

    Raises:
        UsageError: A threshold is none, both forms are asked for, or a folder holds no results.
    """
    if as_json and as_markdown:
        raise UsageError("--json and --md: choose one")
    asked = [Threshold.parse(text) for text in thresholds]
    paths = Path(first), Path(second)
    for path in paths:
        StudyFolder(path).read_study()  # both, before either takes its time
    from reports.statistics.comparison import compare
    from reports.statistics.threshold_check import check

    found = compare(_read("A", paths[0]), _read("B", paths[1]))
    checked = [each for threshold in asked for each in check(found, threshold)]
    if as_json:
        from reports.tables.comparison import as_object

        click.echo(json.dumps(as_object(found, checked), indent=2, allow_nan=False))
    elif as_markdown:
        from reports.tables.comparison import as_comment

        click.echo(as_comment(found, checked))
    else:
        _show(found, checked)
    kept = all(each.outcome == "kept" for each in checked)
    return ExitCode.DONE if kept else ExitCode.THRESHOLD


def _read(side: str, path: Path) -> ResultSet:
    from harness.results.safe_csv import one_line
    from harness.results.table import Tables
    from reports.statistics.result_set import ResultSet

    tables = Tables(path)
    runs = tables.runs
    twice = runs[runs.duplicated(["arm", "seed"])]
    if len(twice):
        arm, seed = twice.iloc[0][["arm", "seed"]]
        raise UsageError(f"{path}: holds {one_line(str(arm))}, seed {seed}, twice")
    some = runs.drop_duplicates("arm")
    return ResultSet(
        side=side,
        folder=str(path),
        study=tables.study,
        runs=runs,
        attempts=tables.attempts,
        specs={
            str(arm): tables.folder(arm, seed).read_spec()
            for arm, seed in zip(some["arm"], some["seed"], strict=True)
        },
        tests=tables.tested,
        metric=tables.metric,
    )


def _show(comparison: Comparison, checked: list[Checked]) -> None:
    from rich.console import Console

    from reports.tables.comparison import comparison_table, comparison_terminal
    from reports.text.comparison import gate_sentence, remarks, sides

    console = Console(highlight=False, markup=False, emoji=False)
    for line in sides(comparison):
        console.print(line)
    console.print()
    if comparison.arms:
        console.print(comparison_terminal(comparison_table(comparison)))
        console.print()
    for line in remarks(comparison):
        console.print(line)
    if checked:
        console.print()
    for each in checked:
        console.print(f"{each.outcome}: {gate_sentence(each)}")
