"""The commands for whoever writes a study or a method."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, by name.")
def methods(*, as_json: bool) -> None:
    """List the methods there are.

    \b
    Examples:
      python -m harness methods
      python -m harness methods --json
    """  # noqa: D301
    from harness.cli.describe import list_methods

    list_methods(as_json=as_json)


@click.command()
@click.argument("method")
@click.option("--plugin", "plugins", metavar="FILE", multiple=True, help="Python file to look in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def describe(method: str, plugins: tuple[str, ...], *, as_json: bool) -> None:
    """Say what METHOD does, and its hyper-parameters with their defaults.

    \b
    Examples:
      python -m harness describe early_bird
      python -m harness describe my_method --plugin my_method.py
    """  # noqa: D301
    from harness.cli.describe import describe_method

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
    from harness.cli.study_file import list_studies

    list_studies(as_json=as_json)


@click.command()
@click.argument("file", default="my-study.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "source", metavar="STUDY", help="Copy a study that comes with the harness.")
def init(file: Path, source: str | None) -> None:
    """Write a study file to begin with: every key, with its help and its default.

    \b
    Examples:
      python -m harness init
      python -m harness init mine.toml --from controls
    """  # noqa: D301
    from harness.cli.study_file import write_study

    write_study(file, source)


@click.command("new-method")
@click.argument("name")
@click.option("--package", is_flag=True, help="An installable package with a conformance test.")
@click.option(
    "--in", "folder", type=click.Path(path_type=Path), default=".", help="Folder to write it to."
)
def new_method(**options: Any) -> None:
    """Write a method to begin with: a short file that runs.

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

    The same seed gives the same weights; a run that is stopped anywhere ends the same; torch works
    in phases alone, and phases cover the work. Exit code 3 if not.

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

    A window of known energy is integrated; a small study runs from its command to its page, adds up
    to the joule, and is not run twice. Exit code 3 if something is not as it must be.

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
    """Print what makes SHELL complete commands, options, studies and methods.

    It is for the command `energy-harness`, which pip installs beside `python -m harness`.

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
