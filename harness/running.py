"""A study from Python: `harness.run("quick")`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ExitCode, MeasurementError, UsageError

if TYPE_CHECKING:
    import pandas as pd


def run(
    study: str | Path = "quick",
    *methods: str,
    seeds: Iterable[int] = (),
    out: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Run what is missing of a study, and return the table of its runs.

    It is the command `run` in a process of its own, which prints as that does.

    Args:
        study: A study file, or the name of one that comes with the harness.
        methods: Only these, or these as well.
        seeds: Replace the study's.
        out: The results folder; None is `results/<study>`.
        plugins: Python files with more methods.
        settings: Changes such as {"training.epochs": 20}.

    Returns:
        The table of `harness.load`: a row a run; `status` says which are not done.

    Raises:
        UsageError: The input is wrong; nothing was run.
        MeasurementError: The energy cannot be measured as asked for.
        RuntimeError: The harness failed.
        KeyboardInterrupt: It was interrupted; what is done stays.
    """
    from harness.cli.choose import choose_study
    from harness.results.table import load

    words = [str(study), *methods]
    changes = [f"{key}={_toml(value)}" for key, value in (settings or {}).items()]
    named = [str(plugin) for plugin in plugins]
    given = tuple(seeds)
    chosen, _ = choose_study(tuple(words), given, tuple(named), tuple(changes), ())
    folder = Path(out) if out else Path("results") / chosen.name
    command = [sys.executable, "-m", "harness", "run", *words, "--out", str(folder)]
    command += [word for seed in given for word in ("--seed", str(seed))]
    command += [word for plugin in named for word in ("--plugin", plugin)]
    command += [word for change in changes for word in ("--set", change)]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(ended.stderr)
    match ended.returncode:
        case ExitCode.DONE | ExitCode.RUNS_FAILED | ExitCode.LIMIT:
            return load(folder)
        case ExitCode.USAGE:
            raise UsageError(ended.stderr.strip().removeprefix("error: "))
        case ExitCode.NOT_MEASURABLE:
            raise MeasurementError(ended.stderr.strip().removeprefix("error: "))
        case ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
    raise RuntimeError(f"the harness ended with exit code {ended.returncode}")


def _toml(value: Any) -> str:
    return json.dumps(value)
