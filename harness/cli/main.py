"""The command line: its commands, and the exit code of each ending."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.cli.author_commands import AUTHOR_COMMANDS
from harness.cli.claim_commands import claims
from harness.cli.default_command import GroupWithDefault
from harness.cli.network_commands import NETWORK_COMMANDS
from harness.cli.study_commands import plan, run, show, status, worker
from harness.errors import ExitCode, MeasurementError, StorageError, UsageError
from harness.integrations.exporters.registry import find
from harness.results.folder import StudyFolder
from harness.utils.own_packages import prefer_own_packages
from harness.utils.signal_errors import sent_again


@click.group(
    cls=GroupWithDefault,
    default="run",
    own=("--version",),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="energy-harness")
def cli() -> None:
    """Which way of training gives the accuracy for the fewest joules?

    The default command is `run`: `python -m harness` runs the built-in study, and
    `python -m harness dense early_bird` two of its methods.

    Exit codes: 0 done, 1 internal error, 2 wrong input, 3 some runs failed or are not done, 4 a
    threshold of `compare` is exceeded, 5 energy cannot be measured, 6 a limit was reached,
    130 interrupted.
    """


for command in (run, plan, status, show, worker, claims, *NETWORK_COMMANDS, *AUTHOR_COMMANDS):
    cli.add_command(command)


@cli.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True)
@click.option(
    "--out",
    metavar="DIR",
    help="Output folder.  [default: DIR/report; ./report for several DIRs]",
)
def report(folders: tuple[str, ...], out: str | None) -> None:
    """Build tables, figures and page from the raw records in DIR (results of one study).

    Several DIRs make one page with all of them and, from four workloads on, a performance profile.
    Neither torch nor the machine that the runs were made on is needed.

    \b
    Examples:
      python -m harness report results/quick
      python -m harness report results/cifar10 results/cifar100 --out comparison
    """  # noqa: D301
    from harness.cli.report import make_report

    make_report(folders, out)


plug_option = click.option(
    "--plug",
    "plugs",
    multiple=True,
    metavar="ADDRESS",
    help="A smart plug that feeds this machine, such as shelly://192.168.1.20; may be repeated.",
)
controller_option = click.option(
    "--controller",
    "controllers",
    multiple=True,
    metavar="ADDRESS",
    help="This server's management controller: ipmi://local, ipmi://HOST or redfish://HOST.",
)


@cli.command()
@click.argument("name")
@click.argument("folder", metavar="DIR")
@click.option("--width", metavar="LENGTH", help="Such as 3.5in, 89mm or 252pt.  [default: 6.6in]")
@click.option("--font", metavar="NAME", help="An installed font.  [default: DejaVu Sans]")
@click.option(
    "--no-title",
    "titled",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Draw no title above the figure.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["pdf", "svg", "png"]),
    default="pdf",
    show_default=True,
    help="File format; png has 300 dots per inch.",
)
@click.option("--out", metavar="FILE", help="Output file.  [default: NAME.FORMAT]")
def figure(**options: Any) -> None:
    """Draw one figure of the results in DIR for a publication.

    NAME is the name of its files in DIR/report/figures. No text is smaller than 6 points at the
    given width. A text file beside it has two captions: one of at most 40 words, and a full one.

    \b
    Examples:
      python -m harness figure score_energy results/quick --width 3.5in --no-title
      python -m harness figure paired_differences results/quick --font Arial --format svg
    """  # noqa: D301
    from harness.cli.report import make_figure

    make_figure(**options)


@cli.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--fail-on",
    "thresholds",
    metavar="METRIC:CHANGE",
    multiple=True,
    help="Exit with 4 if B differs by more, such as energy:+5%, accuracy:-0.5points or, "
    "of another metric, score:+0.02 (repeatable; METHOD/energy:+5% for one method).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--md", "as_markdown", is_flag=True, help="Print a Markdown table.")
def compare(**options: Any) -> None:
    """Compare results B with results A, method by method, each difference with its interval.

    Results of different devices, sensors or workloads are not compared; the reason is printed
    instead.

    \b
    Examples:
      python -m harness compare results/before results/after
      python -m harness compare main branch --fail-on energy:+5% --fail-on accuracy:-0.5points --md
    """  # noqa: D301
    from harness.cli.compare import compare_results

    sys.exit(compare_results(**options))


@cli.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True)
@click.option("--out", "-o", metavar="DIR", required=True, help="The new folder.")
def merge(folders: tuple[str, ...], out: str) -> None:
    """Join results of one study, such as those of several machines, into a new folder.

    Records are copied as they are. It is an error if the folders are not of one study, hold
    conflicting records of the same run, or made a method's runs with other code or other data.

    \b
    Example:
      python -m harness merge machine-a/quick machine-b/quick --out results/quick
    """  # noqa: D301
    merge_results(folders, out)


@cli.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "--to",
    metavar="FORMAT",
    required=True,
    help="csv, parquet, mlflow, wandb, tensorboard or boamps.",
)
@click.option("--out", metavar="PATH", help="Output path.  [default: DIR/export/FORMAT]")
def export(folder: str, to: str, out: str | None) -> None:
    """Export the results in DIR to another tool, through its own library.

    The trackers are extras, such as 'energy-harness[mlflow]'. Nothing leaves the machine unless
    that tool is configured to send it. Exporting again adds what is new, and nothing twice.

    \b
    Examples:
      python -m harness export results/quick --to csv
      python -m harness export results/quick --to mlflow
    """  # noqa: D301
    sys.exit(export_results(folder, to, out))


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND [ARG]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (see below).")
@click.option("--out", metavar="DIR", help="Keep the JSON and the raw trace in this folder.")
@click.option(
    "--interval",
    "period_s",
    type=click.FloatRange(0.01, 60),
    default=0.05,
    show_default=True,
    metavar="SECONDS",
    help="Time between two readings of power; at most 0.02 where there is no energy counter.",
)
@click.option(
    "--idle",
    "idle_s",
    type=click.FloatRange(0, 600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds of idle power to measure first (hardware sensors only).",
)
@click.option(
    "--country",
    metavar="CODE",
    help="Country for the CO2e factor (ISO 3166-1 alpha-3, e.g. DEU).  [default: world]",
)
@click.option(
    "--scope",
    type=click.Choice(["parts", "machine"]),
    default="parts",
    show_default=True,
    help="Sum the machine's parts, or take the whole machine by its battery or another meter.",
)
@plug_option
@controller_option
def measure(**options: Any) -> None:
    """Measure the energy of any COMMAND.

    Its exit code is passed through. GPUs are those in CUDA_VISIBLE_DEVICES, or all. The energy is
    printed to standard error, apart from the command's output; with --json the command's output
    goes to standard error, and standard output is one JSON object: duration_s, energy_j,
    uncertainty_j, co2e_kg, coverage, devices, ...

    \b
    Examples:
      python -m harness measure -- python train.py
      python -m harness measure --json --out energy -- ./benchmark --fast
      python -m harness measure --plug shelly://192.168.1.20 --scope machine -- python train.py
    """  # noqa: D301
    from harness.cli.measure import measure_command

    sys.exit(measure_command(**options))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--load",
    is_flag=True,
    help="Load the GPUs for a few seconds, and check that their power responds.",
)
@click.option("--root", metavar="DIR", help="Folder of the data sets.  [default: data]")
@click.option(
    "--calibrate",
    is_flag=True,
    help="Measure idle power, and the power of 1, 2, 3, 4, 6 ... and all threads busy; estimates "
    "on this machine then follow that curve.",
)
@click.option(
    "--level-s",
    type=click.FloatRange(0.5, 3600),
    metavar="SECONDS",
    help="Length of each level of a calibration.  [default: as the meter needs]",
)
@plug_option
@controller_option
def doctor(*, calibrate: bool, level_s: float | None, **options: Any) -> None:
    """Examine every sensor of this machine, and explain how to enable missing ones.

    Also check whether torch and torchvision work together, which data sets are present, and which
    other processes use the machine. Exit code 5 if energy would be an estimate.

    \b
    Examples:
      python -m harness doctor
      python -m harness doctor --load --json
      python -m harness doctor --calibrate
      python -m harness doctor --plug shelly://192.168.1.20
    """  # noqa: D301
    if level_s and not calibrate:
        raise UsageError("--level-s: only with --calibrate")
    if calibrate:
        from harness.cli.calibrate import calibrate_machine

        meters = {name: options[name] for name in ("plugs", "controllers")}
        sys.exit(calibrate_machine(level_s, as_json=options["as_json"], **meters))
    from harness.cli.doctor import examine_machine

    sys.exit(examine_machine(**options))


def main() -> None:
    """Run the command line; every ending becomes an exit code."""
    prefer_own_packages()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # not under nohup: the terminal is gone
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        with sent_again(signal.SIGTERM, KeyboardInterrupt):
            cli.main(standalone_mode=False)
    except UsageError as error:
        _end(f"error: {error}", ExitCode.USAGE)
    except MeasurementError as error:
        _end(f"error: {error}", ExitCode.NOT_MEASURABLE)
    except StorageError as error:
        hint = "everything so far is kept: make room, then run the same command again"
        _end(f"error: {error}\n{hint}", ExitCode.RUNS_FAILED)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"\n{context.get_usage()}" if context else ""
        _end(f"error: {error.format_message()}{hint}", ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        _end(
            "interrupted; everything so far is kept: run the same command again to resume",
            ExitCode.INTERRUPTED,
        )
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
    except Exception:  # noqa: BLE001 - reported as a bug
        traceback.print_exc()
        _end("internal error: this is a bug in energy-harness; please report it", ExitCode.INTERNAL)


def _end(message: str, code: ExitCode) -> None:
    click.echo(message, err=True)
    sys.exit(code)


def export_results(folder: str, to: str, out: str | None) -> ExitCode:
    """Write the results in a folder to another program's files or service; say where they went.

    Args:
        folder: Results of one study.
        to: The exporter's name.
        out: Where to write; a place of the exporter's own if not given.

    Raises:
        UsageError: The exporter is unknown or not installed, there are no results, or they cannot
            be written there.
    """
    # Before the results are read, which may take a while: a misspelling costs no time.
    export = find(to).load()
    from harness.results.table import Tables

    tables = Tables(Path(folder))
    try:
        where = export(tables, Path(folder), out)
    except OSError as error:
        raise UsageError(f"cannot write: {error}") from None
    click.echo(f"{to}: {where}")
    return ExitCode.DONE


def merge_results(folders: tuple[str, ...], out: str) -> None:
    """Join results folders of one study into a new one; say what to do with it.

    Args:
        folders: At least two.
        out: The new folder.

    Raises:
        UsageError: They cannot be joined, or not there.
    """
    from harness.results.merge import merge

    number = merge([StudyFolder(Path(folder)) for folder in folders], Path(out))
    click.echo(f"{number} runs from {len(folders)} folders are now in {out}")
    click.echo(f"to make tables and report: python -m harness report {out}")
