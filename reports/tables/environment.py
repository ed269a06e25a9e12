"""Protocol and environment: what was asked for, and what it ran on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.results.column import Column, Schema
from harness.study import rule_of
from reports.tables.table import Table, View
from reports.wording.units import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reports.data import StudyResults

_PROTOCOL = ("workload", "training", "energy", "carbon")


SCHEMA = Schema(
    "environment",
    "Protocol and environment",
    "a setting or a version",
    (
        Column("name", "text", "A setting's key, or what was found on the machine."),
        Column(
            "value", "text", "Its value; where runs differ, each value with its count of attempts."
        ),
    ),
)


def environment(results: StudyResults) -> Table:
    """One row a setting or a version; where runs differ, each value with its count of runs."""
    rows = [*_protocol(results.settings), *_machines(results.attempts)]
    return Table(
        schema=SCHEMA,
        records=[{"name": name, "value": value} for name, value in rows],
        view={"name": View("What"), "value": View("Value")},
        legend="The protocol is the study’s, the same for every method; the rest was found when "
        "the runs began. Hyper-parameters of methods are columns of runs.csv.",
    )


def _protocol(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "seeds" in settings:
        rule = rule_of(settings)
        listed = f"{rule.min} to {rule.max}, until decided" if rule else None
        yield "seeds", listed or ", ".join(map(str, settings["seeds"]))
    for table in _PROTOCOL:
        for key, value in settings.get(table, {}).items():
            yield f"{table}.{key}", _shown(value)
    for name, variant in settings.get("variants", {}).items():
        for table, values in variant.items():
            for key, value in values.items():
                yield f"variants.{name}.{table}.{key}", _shown(value)


def _machines(attempts: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Hosts, devices and versions, by how many attempts saw them."""
    for column, name in (
        ("host", "host"),
        ("device", "computing device"),
        ("device_name", "its name"),
        ("threads", "CPU threads"),
    ):
        value = _counted(attempts[column])
        if value:
            yield name, value
    versions = [json.loads(text) for text in attempts["versions"].dropna()]
    for name in dict.fromkeys(name for each in versions for name in each):
        yield name, _counted(pd.Series([each.get(name) for each in versions]))


def _counted(column: pd.Series) -> str:
    texts = column.dropna().astype(str)
    counts = texts[texts != ""].value_counts(sort=False)
    if len(counts) < 2:
        return "".join(map(str, counts.index))
    listed = [f"{value} ({count})" for value, count in counts.items()]
    return f"{', '.join(listed)} of {len(texts)} attempts"


def _shown(value: Any) -> str:
    if value is None or value in ([], {}):
        return MISSING
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
