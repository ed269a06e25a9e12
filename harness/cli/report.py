"""`report`: everything derived, derived again."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from harness.results.folder import StudyFolder
from harness.results.table import Tables


def make_report(folder: str) -> None:
    """Rebuild tables, figures and page of a results folder, and print the summary."""
    path = Path(folder)
    tables = Tables(path)
    tables.save_runs(path)
    import reports
    from reports.data import StudyResults
    from reports.sentence import sentence
    from reports.summary import summarise
    from reports.terminal import terminal_table

    results = StudyResults(tables.study, tables.runs, tables.curves, tables.phases, tables.baseline)
    page = reports.build(results, StudyFolder(path).report)
    summary = summarise(results)
    console = Console(highlight=False)
    console.print()
    console.print(terminal_table(summary))
    console.print(f"\n{sentence(summary)}", markup=False)
    console.print(f"\nreport  {page}\ntable   {StudyFolder(path).table_csv}", markup=False)
