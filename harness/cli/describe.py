"""`methods` and `describe`: what there is, from the methods' own words."""

from __future__ import annotations

import inspect
import json
import typing
from typing import Any

import click
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.cli.listing import tell
from harness.method import Method
from harness.quantities import MOST
from harness.registry import Registry


def list_methods(*, as_json: bool) -> None:
    """Print each method with the first line of its docstring."""
    registry = Registry.discover()
    told = {name: _docstring(registry.get(name)).partition("\n")[0] for name in registry.names()}
    tell(told, as_json=as_json)


def describe_method(name: str, plugins: tuple[str, ...], *, as_json: bool) -> None:
    """Print a method's docstring, its file and its hyper-parameters."""
    method = Registry.discover(plugins).get(name)
    if as_json:
        said = {
            "name": name,
            "file": inspect.getfile(method),
            "doc": _docstring(method),
            "hyperparameters": {
                key: {"default": field.default, "kind": kind_of(field), "help": field.description}
                for key, field in method.model_fields.items()
            },
        }
        click.echo(json.dumps(said, indent=2))
        return
    click.echo(f"{name}  ({inspect.getfile(method)})\n\n{inspect.getdoc(method)}\n")
    if not method.model_fields:
        click.echo("No hyper-parameters.")
        return
    click.echo("Hyper-parameters:")
    inherited = [key for base in method.__bases__ for key in getattr(base, "model_fields", ())]
    for key, field in sorted(method.model_fields.items(), key=lambda item: item[0] in inherited):
        click.echo(f"  {key} = {field.default!r}  ({kind_of(field)})")
        for line in (field.description or "").splitlines():
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
        if isinstance(bound, kind) and getattr(bound, attribute) != MOST
    ]
