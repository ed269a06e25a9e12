"""`studies` and `init`: what comes with the harness, and a commented file of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.cli.choose import DEFAULT, built_in_studies
from harness.cli.listing import tell
from harness.engine_settings import EngineSettings, SlurmSettings
from harness.errors import UsageError, nearest
from harness.report_settings import ReportSettings
from harness.settings import Carbon, EnergySettings, Limits, Training, WorkloadChoice

TABLES: dict[str, type[BaseModel]] = {
    "workload": WorkloadChoice,
    "training": Training,
    "energy": EnergySettings,
    "limits": Limits,
    "carbon": Carbon,
    "report": ReportSettings,
    "engine": EngineSettings,
    "engine.slurm": SlurmSettings,
}
"""Tables of a study file whose keys are the same in every study."""
_HEAD = """\
# A study: every method, with every seed, on one workload. Run it with
#     python -m harness run {name}.toml
# Keys that are commented out have the value shown unless you set them.

name = "{name}"
seeds = [0, 1, 2]
# seeds = "until decided"    # as many as the verdicts need, 3 to 10; or with other limits:
# seeds = {{ until = "decided", min = 5, max = 20 }}

# A method a table; `python -m harness methods` lists them, `describe NAME` their hyper-parameters.
# A list of values is a sweep.
[methods.dense]
[methods.early_bird]
# prune_ratio = [0.3, 0.5, 0.7]
"""
_CHOSEN: dict[str, dict[str, Any]] = {
    "workload": {"data": "digits", "model": "vgg_small"},
    "training": {"epochs": 16},
}


def list_studies(*, as_json: bool) -> None:
    """Print each built-in study with what it says of itself."""
    told = {name: _first_sentence(_built_in(name)) for name in built_in_studies()}
    tell(told, as_json=as_json)


def write_study(path: Path, source: str | None) -> None:
    """Write a study file to begin with; an existing one stays.

    Args:
        path: Where to.
        source: A built-in study to copy; None writes every key with its help.

    Raises:
        UsageError: There is no such study, or the file cannot be written.
    """
    if source is not None and source not in built_in_studies():
        raise UsageError(f"there is no study '{source}'; {nearest(source, built_in_studies())}")
    text = commented(path.stem) if source is None else _built_in(source)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path}: already exists; choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    click.echo(f"{path} is a study; run it with\n    python -m harness run {path}")


def commented(name: str) -> str:
    """A study file with every key, its help and its default."""
    tables = (_table(table, model) for table, model in TABLES.items())
    return "\n".join([_HEAD.format(name=name), *tables])


def _table(table: str, model: type[BaseModel]) -> str:
    return "\n".join([f"[{table}]", *_keys(table, model)]) + "\n"


def _keys(table: str, model: type[BaseModel]) -> Iterator[str]:
    chosen = _CHOSEN.get(table, {})
    for key, field in model.model_fields.items():
        if f"{table}.{key}" in TABLES:
            continue
        for line in (field.description or "").splitlines():
            yield f"# {line}".rstrip()
        if key in chosen:
            yield f"{key} = {_toml(chosen[key])}"
        else:
            default = default_of(field)
            yield f"# {key} =" if default is None else f"# {key} = {default}"


def default_of(field: FieldInfo) -> str | None:
    """A key's default as TOML; None if it has none."""
    default = field.get_default(call_default_factory=True)
    return None if default is None or default is PydanticUndefined else _toml(default)


def _toml(value: Any) -> str:
    return "{}" if value == {} else json.dumps(value)


def _built_in(name: str) -> str:
    return files("harness").joinpath("studies", f"{name or DEFAULT}.toml").read_text("utf-8")


def _first_sentence(text: str) -> str:
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].rstrip(".") + "."
