"""The commands for authors of studies and methods: list, describe, create and check them."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.errors import UsageError, nearest
from harness.method.base import Method
from harness.settings.engine import EngineSettings, SlurmSettings
from harness.settings.report import ReportSettings
from harness.settings.settings import Carbon, EnergySettings, Limits, Training, WorkloadChoice
from harness.settings.tuning import TuningSettings
from harness.settings.types import MAX_COUNT
from harness.study.choose import DEFAULT, built_in_studies
from harness.study.registry import Registry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by name.")
def methods(*, as_json: bool) -> None:
    """List all methods.

    \b
    Examples:
      python -m harness methods
      python -m harness methods --json
    """  # noqa: D301
    list_methods(as_json=as_json)


@click.command()
@click.argument("method")
@click.option("--plugin", "plugins", metavar="FILE", multiple=True, help="Python file to look in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def describe(method: str, plugins: tuple[str, ...], *, as_json: bool) -> None:
    """Show what METHOD does, and its hyper-parameters with their defaults.

    \b
    Examples:
      python -m harness describe early_bird
      python -m harness describe my_method --plugin my_method.py
    """  # noqa: D301
    describe_method(method, plugins, as_json=as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by name.")
def studies(*, as_json: bool) -> None:
    """List the studies that come with the harness.

    \b
    Examples:
      python -m harness studies
      python -m harness plan controls
    """  # noqa: D301
    list_studies(as_json=as_json)


@click.command()
@click.argument("file", default="my-study.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "source", metavar="STUDY", help="Copy a study that comes with the harness.")
def init(file: Path, source: str | None) -> None:
    """Create a study file that lists every key with its help and its default.

    \b
    Examples:
      python -m harness init
      python -m harness init mine.toml --from controls
    """  # noqa: D301
    write_study(file, source)


@click.command("new-method")
@click.argument("name")
@click.option(
    "--package",
    is_flag=True,
    help="Create an installable package with a test of the method contract.",
)
@click.option("--in", "folder", type=click.Path(path_type=Path), default=".", help="Output folder.")
def new_method(**options: Any) -> None:
    """Create a method: a short file that runs.

    \b
    Examples:
      python -m harness new-method prune_halfway
      python -m harness new-method prune_halfway --package
    """  # noqa: D301
    from harness.cli.new_method import write_method

    write_method(**options)


@click.command("check-method")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by method.")
def check_method(file: str, *, as_json: bool) -> None:
    """Check that the methods in FILE satisfy the method contract, on a small network on the CPU.

    The same seed must give the same weights, also if the run is stopped and resumed anywhere; torch
    must be used in phases only, and phases must cover the work. Exit code 3 if a check fails.

    \b
    Example:
      python -m harness check-method my_method.py
    """  # noqa: D301
    from harness.cli.new_method import try_methods

    sys.exit(try_methods(file, as_json=as_json))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def selftest(*, as_json: bool) -> None:
    """Test this installation in about a minute.

    Integrates a window of known energy; then runs a small study from its command to its page, and
    checks that it adds up to the joule and is not run twice. Exit code 3 if a check fails.

    \b
    Example:
      python -m harness selftest
    """  # noqa: D301
    from harness.cli.selftest import try_installation

    sys.exit(try_installation(as_json=as_json))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL for commands, options, studies and methods.

    It completes the command `energy-harness`, which pip installs beside `python -m harness`.

    \b
    Examples:
      energy-harness completion bash >> ~/.bashrc
      energy-harness completion fish > ~/.config/fish/completions/energy-harness.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click completes nothing in {shell}")
    name = "energy-harness"
    click.echo(kind(context.find_root().command, {}, name, "_ENERGY_HARNESS_COMPLETE").source())


AUTHOR_COMMANDS = (
    methods,
    describe,
    studies,
    init,
    new_method,
    check_method,
    selftest,
    completion,
)


def list_methods(*, as_json: bool) -> None:
    """Print each method with the first line of its docstring."""
    registry = Registry.discover()
    sentences = {
        name: _docstring(registry.get(name)).partition("\n")[0] for name in registry.names()
    }
    list_names(sentences, as_json=as_json)


def describe_method(name: str, plugins: tuple[str, ...], *, as_json: bool) -> None:
    """Print a method's docstring, its file and its hyper-parameters."""
    method = Registry.discover(plugins).get(name)
    helps = help_texts(method)
    if as_json:
        document = {
            "name": name,
            "file": inspect.getfile(method),
            "doc": _docstring(method),
            "hyperparameters": {
                key: {"default": field.default, "kind": kind_of(field), "help": helps.get(key)}
                for key, field in method.model_fields.items()
            },
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"{name}  ({inspect.getfile(method)})\n\n{inspect.getdoc(method)}\n")
    if not method.model_fields:
        click.echo("No hyper-parameters.")
        return
    click.echo("Hyper-parameters:")
    inherited = [key for base in method.__bases__ for key in getattr(base, "model_fields", ())]
    for key, field in sorted(method.model_fields.items(), key=lambda item: item[0] in inherited):
        click.echo(f"  {key} = {field.default!r}  ({kind_of(field)})")
        for line in helps.get(key, "").splitlines():
            click.echo(f"      {line}")


def _docstring(method: type[Method]) -> str:
    return inspect.getdoc(method) or ""


def kind_of(field: FieldInfo) -> str:
    """What a value may be, for people: its type and bounds."""
    return ", ".join([_type_name(field.annotation), *_bounds(field.metadata)])


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        values = typing.get_args(annotation)
        return " | ".join(str(v).lower() if isinstance(v, bool) else repr(v) for v in values)
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *metadata = typing.get_args(annotation)
        found = [bound for each in metadata for bound in _bounds(getattr(each, "metadata", [each]))]
        return ", ".join([_type_name(inner), *found])
    arguments = [each for each in typing.get_args(annotation) if each is not Ellipsis]
    if typing.get_origin(annotation) in (tuple, list):
        return f"list of {_type_name(arguments[0])}"
    if typing.get_origin(annotation) is dict or _is_kind_of(annotation, BaseModel):
        return "table"
    if arguments:
        return " or ".join(_type_name(each) for each in arguments)
    return "none" if annotation is type(None) else annotation.__name__


def _is_kind_of(annotation: Any, base: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, base)


def _bounds(metadata: list[Any]) -> list[str]:
    signs = {Ge: (">=", "ge"), Gt: (">", "gt"), Le: ("<=", "le"), Lt: ("<", "lt")}
    return [
        f"{sign} {getattr(bound, attribute)}"
        for bound in metadata
        for kind, (sign, attribute) in signs.items()
        if isinstance(bound, kind) and getattr(bound, attribute) != MAX_COUNT
    ]


def list_names(sentences: Mapping[str, str], *, as_json: bool) -> None:
    """Print names and their sentences."""
    if as_json:
        click.echo(json.dumps(sentences, indent=2))
        return
    width = max(map(len, sentences))
    for name, sentence in sentences.items():
        click.echo(f"{name:{width}}  {sentence}")


TABLES: dict[str, type[BaseModel]] = {
    "workload": WorkloadChoice,
    "training": Training,
    "tuning": TuningSettings,
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
    sentences = {name: _first_sentence(_built_in(name)) for name in built_in_studies()}
    list_names(sentences, as_json=as_json)


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
    chosen, helps = _CHOSEN.get(table, {}), help_texts(model)
    for key, field in model.model_fields.items():
        if f"{table}.{key}" in TABLES:
            continue
        for line in helps.get(key, "").splitlines():
            yield f"# {line}".rstrip()
        if key in chosen:
            yield f"{key} = {_toml(chosen[key])}"
        else:
            default = default_of(field)
            yield f"# {key} =" if default is None else f"# {key} = {default}"


def help_texts(model: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field of a model, of its bases as well.

    Read from the source when they are asked for: pydantic would read those of every model as it is
    defined, which took a second of each run's start.
    """
    texts: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        try:
            [body] = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        except (OSError, TypeError):  # made without a file
            continue
        for field, text in itertools.pairwise(getattr(body, "body", [])):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(written))
                ):
                    texts[name] = inspect.cleandoc(written)
    given = {key: field.description for key, field in model.model_fields.items()}
    return texts | {key: text for key, text in given.items() if text}


def default_of(field: FieldInfo) -> str | None:
    """A key's default as TOML; None if it has none."""
    default = field.get_default(call_default_factory=True)
    return None if default is None or default is PydanticUndefined else _toml(default)


def _toml(value: Any) -> str:
    return "{}" if value == {} else json.dumps(value)


def _built_in(name: str) -> str:
    return files("harness.study").joinpath("studies", f"{name or DEFAULT}.toml").read_text("utf-8")


def _first_sentence(text: str) -> str:
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.removeprefix("#").strip())
    return " ".join(comment).partition(". ")[0].rstrip(".") + "."
