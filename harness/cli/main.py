"""The command line: which command, and how each ending is told to the shell."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Any

import click

from harness import __version__
from harness.errors import ExitCode, MeasurementError, UsageError


class _RunByDefault(click.Group):
    """A group in which a first word that is no command is an argument of `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if not args or (args[0] not in self.commands and args[0] not in own):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_RunByDefault,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="energy-harness")
def cli() -> None:
    """Which way of training gives the accuracy for the fewest joules?

    Without a command: `run`. So `python -m harness` runs the built-in study, and
    `python -m harness dense early_bird` two of its methods.

    Exit codes: 0 done, 1 internal error, 2 wrong input, 3 some runs failed, 5 energy cannot be
    measured, 130 interrupted.
    """


@cli.command()
@click.argument("words", nargs=-1, metavar="[STUDY] [METHOD]...")
@click.option("--seed", "seeds", type=int, multiple=True, help="Only this seed (repeatable).")
@click.option("--out", metavar="DIR", help="Folder of the results.  [default: results/<study>]")
@click.option(
    "--plugin", "plugins", metavar="FILE", multiple=True, help="Python file with more methods."
)
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change a setting, such as training.epochs=20 (repeatable).",
)
def run(**options: Any) -> None:
    """Run a study: every method with every seed; then the report.

    STUDY is a TOML file or a built-in study (default: quick). METHODs choose among the study's, or
    add others with their defaults. Run the same command again to finish what is missing.

    \b
    Examples:
      python -m harness
      python -m harness dense early_bird --seed 0
      python -m harness run my-study.toml --out results/second-try
      python -m harness --plugin my_method.py --set training.epochs=20
    """  # noqa: D301 - click's mark for lines to leave alone is the character, not the letters
    from harness.cli.run import run_study

    sys.exit(run_study(**options, commands=tuple(cli.commands)))


@cli.command()
def methods() -> None:
    """List the methods there are."""
    from harness.cli.describe import list_methods

    list_methods()


@cli.command()
@click.argument("method")
@click.option("--plugin", "plugins", metavar="FILE", multiple=True, help="Python file to look in.")
def describe(method: str, plugins: tuple[str, ...]) -> None:
    """Say what METHOD does, and its hyper-parameters with their defaults."""
    from harness.cli.describe import describe_method

    describe_method(method, plugins)


@cli.command()
@click.argument("folder", metavar="DIR")
def report(folder: str) -> None:
    """Derive tables, figures and page anew from the raw records in DIR (results of one study)."""
    from harness.cli.report import make_report

    make_report(folder)


def main() -> None:
    """Run the command line; every ending becomes an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cli.main(standalone_mode=False)
    except UsageError as error:
        _end(f"error: {error}", ExitCode.USAGE)
    except MeasurementError as error:
        _end(f"error: {error}", ExitCode.NOT_MEASURABLE)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\n{context.get_usage()}" if context else ""
        _end(f"error: {error.format_message()}{hint}", ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        _end(
            "interrupted; everything so far is kept: run the same command again to go on",
            ExitCode.INTERRUPTED,
        )
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
    except Exception:  # noqa: BLE001 - a fault of ours, told as such
        traceback.print_exc()
        _end("internal error: this is a fault of the harness, please report it", ExitCode.INTERNAL)


def _end(message: str, code: ExitCode) -> None:
    click.echo(message, err=True)
    sys.exit(code)
