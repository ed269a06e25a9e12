"""What there is, with a sentence each: for people or, as JSON, for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click


def tell(told: Mapping[str, str], *, as_json: bool) -> None:
    """Print names and their sentences."""
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    width = max(map(len, told))
    for name, sentence in told.items():
        click.echo(f"{name:{width}}  {sentence}")
