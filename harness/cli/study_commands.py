"""The commands for a study's runs: `run`, `plan`, `status`, `show` and `worker`."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.errors import UsageError
from harness.training.distributed.node import ONLY, Node

ENERGY = {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "GJ": 1e9, "Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9}
"""Joules in a unit."""
TIME = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds in a unit."""


class Amount(click.ParamType):  # type: ignore[type-arg]
    """A number above 0 with a unit; the first unit if none is given."""

    name = "amount"

    def __init__(self, units: Mapping[str, float]) -> None:
        self._units = units

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The amount in the first unit, joules or seconds."""
        found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?) ?([A-Za-z]*)", value.strip())
        size = self._units.get(found[2] or next(iter(self._units))) if found else None
        try:
            amount = float(found[1]) * size if found and size else math.nan
        except ValueError:
            amount = math.nan
        if not 0 < amount < math.inf:
            units = ", ".join(self._units)
            self.fail(f"{value!r} is not a number with a unit ({units})", param, ctx)
        return amount


def _complete_words(_context: object, _parameter: object, begun: str) -> list[CompletionItem]:
    """Studies and methods that begin with `begun`; files if there are none."""
    from harness.study.choose import built_in_studies
    from harness.study.registry import Registry

    names = [*built_in_studies(), *Registry.discover().names()]
    found = [CompletionItem(name) for name in names if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


_STUDY = (
    click.argument(
        "words", nargs=-1, metavar="[STUDY] [METHOD]...", shell_complete=_complete_words
    ),
    click.option("--seed", "seeds", type=int, multiple=True, help="Only this seed (repeatable)."),
    click.option(
        "--until-decided",
        metavar="MIN-MAX",
        help="Add seeds until each verdict is decided: from MIN to at most MAX, such as 3-10.",
    ),
    click.option("--out", metavar="DIR", help="Results folder.  [default: results/<study>]"),
    click.option(
        "--plugin", "plugins", metavar="FILE", multiple=True, help="Python file with more methods."
    ),
    click.option(
        "--set",
        "changes",
        metavar="KEY=VALUE",
        multiple=True,
        help="Change a setting, such as training.epochs=20 (repeatable).",
    ),
)


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that choose the runs."""
    for option in reversed(_STUDY):
        command = option(command)
    return command


def _node(word: str, meet: str | None) -> Node:
    found = re.fullmatch(r"(\d+)/(\d+)", word)
    if not found or int(found[1]) >= int(found[2]):
        raise UsageError(f"--node {word}: must be RANK/OF, such as 0/2 and 1/2")
    if found[2] == "1":
        return ONLY
    if meet is None or not re.fullmatch(r".+:\d+", meet):
        raise UsageError("--meet: must be HOST:PORT, the same for all nodes")
    return Node(int(found[1]), int(found[2]), meet)


def _commands() -> tuple[str, ...]:
    """Names of all commands, which a misspelt word may have meant."""
    group = click.get_current_context().find_root().command
    return tuple(group.commands) if isinstance(group, click.Group) else ()


@click.command()
@_choosing
@click.option(
    "--max-energy",
    type=Amount(ENERGY),
    metavar="ENERGY",
    help="Stop cleanly once all runs together have used this much energy, such as 500kJ or 2kWh.",
)
@click.option(
    "--max-time",
    type=Amount(TIME),
    metavar="TIME",
    help="Stop cleanly once all runs together have taken this long, such as 90min or 8h.",
)
@click.option(
    "--max-run-energy",
    type=Amount(ENERGY),
    metavar="ENERGY",
    help="End a run once it has used this much energy, and start the next.",
)
@click.option(
    "--max-run-time",
    type=Amount(TIME),
    metavar="TIME",
    help="End a run once it has taken this long, and start the next.",
)
@click.option(
    "--when-below",
    "when_below",
    type=click.FloatRange(min=0, min_open=True),
    metavar="G_PER_KWH",
    help="Run only while the grid is below this, by carbon.series or carbon.live; pause at "
    "checkpoints.",
)
@click.option(
    "--greenest-within",
    "greenest_within",
    type=Amount({"h": 1.0, "min": 1 / 60, "s": 1 / 3600, "d": 24.0}),
    metavar="TIME",
    help="Run in the greenest part of the next hours, such as 24h, by carbon.series; pause at "
    "checkpoints.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Retry failed runs. Energy already used stays in the run's total.",
)
@click.option(
    "--require-measured",
    is_flag=True,
    help="Exit with 5 unless every run was measured by a hardware sensor for its whole duration.",
)
@click.option(
    "--no-report",
    "wants_report",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not build the report (use when several processes share one results folder).",
)
@click.option(
    "--engine",
    metavar="KIND",
    help="local: run here; slurm: submit to a Slurm cluster and leave.  [default: the study's, "
    "or local]",
)
@click.option(
    "--metrics",
    metavar="[HOST:]PORT",
    help="Serve http://HOST:PORT/metrics for Prometheus while runs execute.  [default host: "
    "127.0.0.1]",
)
@click.option("--wait", is_flag=True, help="Wait until all jobs have ended, then build the report.")
@click.option("--values", default="{}", hidden=True)  # settings from `harness.run`, as JSON
def run(
    max_energy: float | None,
    max_time: float | None,
    max_run_energy: float | None,
    max_run_time: float | None,
    changes: tuple[str, ...],
    engine: str | None,
    **options: Any,
) -> None:
    """Run a study: every method with every seed; then the report.

    STUDY is a TOML file or a built-in study (default: quick). METHODs choose among the study's, or
    add others with their defaults. Run the same command again to finish what is missing.

    \b
    Examples:
      python -m harness
      python -m harness dense early_bird --seed 0
      python -m harness run my-study.toml --out results/second-try
      python -m harness --plugin my_method.py --set training.epochs=20
      python -m harness --max-energy 2kWh --max-run-time 6h
      python -m harness run my-study.toml --engine slurm
      python -m harness run my-study.toml --when-below 120
      python -m harness run my-study.toml --metrics 9095
    """  # noqa: D301 - click's mark for lines to leave alone is the character, not the letters
    from harness.cli.run import run_study

    limits = {
        "energy_j": max_energy,
        "time_s": max_time,
        "run_energy_j": max_run_energy,
        "run_time_s": max_run_time,
    }
    changes += tuple(f"limits.{key}={value!r}" for key, value in limits.items() if value)
    changes += (f"engine.kind={engine}",) if engine else ()
    sys.exit(run_study(**options, changes=changes, commands=_commands()))


@click.command()
@click.argument("run_spec", metavar="RUN_SPEC")
@click.option("--retry-failed", is_flag=True, help="Retry the run if it has failed.")
@click.option(
    "--shared-node",
    is_flag=True,
    help="The node is shared: do not attribute CPU and DRAM energy to this run.",
)
@click.option(
    "--spare-gpus",
    is_flag=True,
    help="The other GPUs in CUDA_VISIBLE_DEVICES are reserved for this run, too: measure and list "
    "them.",
)
@click.option(
    "--node",
    metavar="RANK/OF",
    default="0/1",
    help="Rank of this node among the run's nodes, such as 1/2.",
)
@click.option("--meet", metavar="HOST:PORT", help="Rendezvous address: HOST:PORT of node 0.")
def worker(node: str, meet: str | None, **options: Any) -> None:
    """Execute one run with its recorder: the unit of work of every engine.

    RUN_SPEC is a JSON file that specifies the run, such as spec.json in its folder, inside the
    results folder. A finished run is left alone; an interrupted one is resumed.

    \b
    Example:
      python -m harness worker results/quick/runs/dense/seed-0/spec.json
    """  # noqa: D301
    from harness.cli.worker import work_on_run

    sys.exit(work_on_run(**options, node=_node(node, meet)))


@click.command()
@click.argument("folder", metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with every run.")
def status(**options: Any) -> None:
    """Show the state of the runs in DIR: done, running and where, queued, failed and why.

    \b
    Examples:
      python -m harness status results/quick
      python -m harness status results/quick --json
    """  # noqa: D301
    from harness.cli.status import show_status

    show_status(**options)


@click.command()
@_choosing
@click.option(
    "--at-once",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Number of parallel runs to assume.  [default: the study's]",
)
@click.option(
    "--pilot",
    "with_pilot",
    is_flag=True,
    help="If no run has finished yet, train the dense network for a few seconds and extrapolate.",
)
@click.option(
    "--price", type=float, metavar="AMOUNT", help="Electricity price per kWh, in your currency."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(**options: Any) -> None:
    """Show what `run` would do and what it would cost; nothing is run or written.

    Hours, kWh, CO2e and disk space, each with its ±, are predicted from finished runs of the same
    arm in the results folder. Without such a run they are unknown, unless --pilot measures one.

    \b
    Examples:
      python -m harness plan
      python -m harness plan my-study.toml --pilot
      python -m harness plan my-study.toml --at-once 512 --price 0.30
    """  # noqa: D301
    from harness.cli.plan import show_plan
    from harness.scheduler.scheduler import sleeping_threads

    with sleeping_threads():  # for a pilot, as in a run: before anything loads torch
        show_plan(**options, commands=_commands())


@click.command()
@click.argument("run", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(run: str, *, as_json: bool) -> None:
    """Show one run: its state, its accuracy, its energy per phase.

    RUN is its folder.

    \b
    Example:
      python -m harness show results/quick/runs/early_bird/seed-0
    """  # noqa: D301
    from harness.cli.status import show_run

    show_run(run, as_json=as_json)
