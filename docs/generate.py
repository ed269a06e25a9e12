"""Writes what of the documentation follows from code and records: `python docs/generate.py`.

Pages of the reference follow from the code, marked tables in README.md and docs/results.md from the
raw records in benchmarks/.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click
from pydantic import BaseModel

from harness.cli.author_commands import TABLES, default_of, help_texts, kind_of
from harness.cli.main import cli
from harness.errors import ExitCode
from harness.integrations.exporters.registry import EXPORTERS
from harness.results.column import Column
from harness.results.schema import TABLES as TIDY_TABLES
from harness.results.table import Tables
from harness.settings.catalogue import DATA, ENGINES, METERS, MODELS, TASKS
from harness.study.claim_registry import claims_and_verdicts, shipped_verdicts
from reports.data import plain_results
from reports.statistics.summary import summarise
from reports.tables.formats import as_markdown
from reports.tables.gallery import SCHEMAS
from reports.tables.headline import headline
from reports.tables.registered_claims import registry_table

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
RESULTS = ROOT / "harness" / "results" / "README.md"
OUTCOMES = (ROOT / "README.md", ROOT / "docs" / "results.md")
"""Pages with tables of what was found."""
_OUTCOME = re.compile(
    r"(<!-- outcome of (?P<folder>\S+), from (?P<seeds>\d+) seeds? on -->\n).*?(?=<!-- end -->)",
    re.DOTALL,
)
_ENDINGS = {
    ExitCode.DONE: "done",
    ExitCode.INTERNAL: "internal error: a bug in energy-harness",
    ExitCode.USAGE: "wrong input; nothing was run",
    ExitCode.RUNS_FAILED: "some runs failed or are not done, or a check failed",
    ExitCode.THRESHOLD: "a threshold of `compare` is exceeded or cannot be checked",
    ExitCode.NOT_MEASURABLE: "energy cannot be measured as asked for",
    ExitCode.LIMIT: "a limit of energy or time was reached",
    ExitCode.INTERRUPTED: "interrupted; the same command resumes",
}


def pages() -> dict[Path, str]:
    """Each generated page and its text."""
    return {
        REFERENCE / "commands.md": "\n".join(_commands()) + "\n",
        REFERENCE / "study-file.md": "\n".join(_study_file()) + "\n",
        REFERENCE / "report-tables.md": "\n".join(_report_tables()) + "\n",
        REFERENCE / "claims.md": "\n".join(_claims()) + "\n",
        RESULTS: (results := "\n".join(_results()) + "\n"),
        REFERENCE / "results.md": results,
        **{path: _OUTCOME.sub(_outcome, path.read_text("utf-8")) for path in OUTCOMES},
    }


def _outcome(mark: re.Match[str]) -> str:
    """A mark with the table of what its records show, of methods with enough finished seeds."""
    table = headline(summarise(plain_results(Tables(ROOT / mark["folder"]))))
    records = [each for each in table.records if each["n"] >= int(mark["seeds"])]
    shown = ("arm", "score", "score_difference", "verdict", "energy_ratio", "n")
    view = {name: table.view[name] for name in shown}
    return mark[1] + as_markdown(replace(table, records=records, view=view, arms=[], legend=""))


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "`python -m harness` and `energy-harness` are the same. Without a command: `run`.\n"
    yield "| exit code | meaning |\n|---|---|"
    for code, text in _ENDINGS.items():
        yield f"| {int(code)} | {text} |"
    for name, command in cli.commands.items():
        yield from _command(name, command)


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"python -m harness {name}")
    with context.scope():
        context.max_content_width = context.terminal_width = 80
        yield f"\n## {name}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from _command(f"{name} {part}", inner)


def _claims() -> Iterator[str]:
    yield "# Published claims and their verdicts\n"
    yield (
        "What was published about training with less energy, and what the records in "
        "`benchmarks/` show of it. `python -m harness claims` prints this list, `--page FILE` "
        "writes it as a page that sorts, `claims show ID` has the details of one, and "
        "`claims test ID` runs it. A claim is a file in `harness/study/claims/`; a study asks for "
        "it by its id in `report.claims`.\n"
    )
    yield as_markdown(registry_table(claims_and_verdicts(shipped_verdicts()))).rstrip()


def _study_file() -> Iterator[str]:
    yield "# The study file\n"
    yield (
        "A study is a TOML file. `python -m harness init` writes one with every key. Keys that are "
        "unknown are refused, with the nearest right word. A value of a method that is a list is a "
        "sweep.\n"
    )
    yield (
        "`name`, `seeds` and `plugins` stand at its top. `seeds` is a list, or `'until decided'`: "
        "a rule that adds seeds from 0 on until each verdict against dense is decided, at least 3 "
        "and at most 10; `{ until = 'decided', min = 5, max = 20 }` has other limits. "
        "`[methods.NAME]` has the hyper-parameters "
        "of a method (`python -m harness describe NAME`), and `[[methods.NAME]]` several sets of "
        "them. `[variants.NAME]` runs every method with other values of `workload` and `training`."
    )
    for table, model in TABLES.items():
        yield f"\n## \\[{table}\\]\n\n{inspect.getdoc(model)}\n"
        yield "| key | kind | default | |\n|---|---|---|---|"
        yield from _keys(table, model)
    yield "\n## Names\n\n| | known |\n|---|---|"
    for kind, known in {
        "data": DATA,
        "model": [*MODELS, "torchvision/NAME", "timm/NAME"],
        "task": TASKS,
        "meters": METERS,
        "engine": ENGINES,
        "export --to": EXPORTERS,
    }.items():
        yield f"| {kind} | {', '.join(f'`{name}`' for name in known)} |"


def _report_tables() -> Iterator[str]:
    yield "# The tables of a report\n"
    yield (
        "`report/tables/` has each table three times. The CSV is for programs: plain columns in "
        "base units (joules, seconds, kilograms, shares of 1), whatever unit the page shows, and "
        "nothing but numbers in a column of numbers; what is not known is empty. A mean with an "
        "interval has three columns: `NAME`, `NAME_low` and `NAME_high` (95 %). Markdown and LaTeX "
        "are for people, like the page: their headers name the unit that their values are in."
    )
    for schema in SCHEMAS:
        yield f"\n## {schema.name}\n\n“{schema.title}”: one row for {schema.row}.\n"
        yield "| column | kind | unit | |\n|---|---|---|---|"
        for column in schema.columns:
            more = ", with an interval" if column.interval else ""
            yield f"| `{column.name}` | {column.kind}{more} | {column.unit} | {column.sentence} |"


def _results() -> Iterator[str]:
    """The description of a results folder: its text by hand, its columns from the schema."""
    yield RESULTS.read_text("utf-8").partition("## Columns of the tidy table")[0].rstrip()
    runs, *others = TIDY_TABLES
    yield "\n## Columns of the tidy table\n"
    yield from _columns(runs.columns)
    yield (
        "\nFurther columns: `co2e_kg_X` and `carbon_basis_X`, CO2e of the same energy at a further "
        "place *X* of the study's `carbon.also`, such as `co2e_kg_USA/california`; facts that "
        "methods record, such as `ticket_epoch`; hyper-parameters. A fact or hyper-parameter with "
        "the name of a column above has the prefix `method_`."
    )
    yield "\n## The other tables\n\nWritten into `report/tables/` as CSV."
    for schema in others:
        yield f"\n### {schema.name}\n\n{schema.title}: one row for {schema.row}.\n"
        yield from _columns(schema.columns)


def _columns(columns: Iterable[Column]) -> Iterator[str]:
    yield "| column | type | unit | meaning |\n|---|---|---|---|"
    for column in columns:
        yield f"| `{column.name}` | {column.kind} | {column.unit} | {column.sentence} |"


def _keys(table: str, model: type[BaseModel]) -> Iterator[str]:
    helps = help_texts(model)
    for key, field in model.model_fields.items():
        if f"{table}.{key}" in TABLES:
            continue
        default = default_of(field)
        shown = "" if default is None else f"`{default}`"
        text = " ".join(helps.get(key, "").split())
        cells = (f"`{key}`", kind_of(field), shown, text)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Write the pages, or report with `--check` which are out of date."""
    made = pages()
    if "--check" in sys.argv:
        stale = [str(path) for path, text in made.items() if path.read_text("utf-8") != text]
        sys.exit(f"out of date: {', '.join(stale)}" if stale else 0)
    for path, text in made.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
