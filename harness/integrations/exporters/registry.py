"""Lists the exporters; the libraries of one are imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError, nearest
from harness.settings.catalogue import Catalogue
from harness.utils.packages import not_installed

if TYPE_CHECKING:
    from harness.results.table import Tables

Export = Callable[["Tables", Path, str | None], str]
"""`export(tables, folder, out)`: writes a study's tables, read from the results in `folder`, to
`out`, or to a default place if that is None; returns a text that says where."""


@dataclass(frozen=True)
class Exporter:
    """One exporter.

    Attributes:
        name: Its name for `--to`; also the name of the extra that installs its packages.
        help: What it writes, in a line.
        target: Its `Export`, as `package.module:function`.
        needs: Packages that not every installation has.
    """

    name: str
    help: str
    target: str
    needs: tuple[str, ...] = ()

    def load(self) -> Export:
        """The function that exports.

        Raises:
            UsageError: A package is not installed.
        """
        missing = not_installed(*self.needs)
        if missing:
            raise UsageError(
                f"--to {self.name} needs {', '.join(missing)}: "
                f"pip install 'energy-harness[{self.name}]'"
            )
        export: Export = TARGETS.load(self.name)
        return export


_HERE = "harness.integrations.exporters"

EXPORTERS = {
    each.name: each
    for each in (
        Exporter("csv", "every table as a CSV file", f"{_HERE}.files:csv"),
        Exporter("parquet", "every table as a Parquet file, typed", f"{_HERE}.files:parquet"),
        Exporter(
            "mlflow",
            "an MLflow experiment with a run each; in MLFLOW_TRACKING_URI, or a SQLite file",
            f"{_HERE}.to_mlflow:export",
            ("mlflow", "sqlalchemy", "alembic"),
        ),
        Exporter(
            "wandb",
            "a Weights & Biases project with a run each; offline unless you are logged in",
            f"{_HERE}.to_wandb:export",
            ("wandb",),
        ),
        Exporter(
            "tensorboard",
            "TensorBoard event files, a folder per run",
            f"{_HERE}.to_tensorboard:export",
            ("tensorboard",),
        ),
        Exporter(
            "boamps",
            "BoAmps reports (Boavizta's open data model), a JSON file per finished run",
            f"{_HERE}.to_boamps:export",
        ),
    )
}
"""The exporters of the harness, by name."""

TARGETS = Catalogue("exporters", {name: each.target for name, each in EXPORTERS.items()})
"""From a name to an `Export`."""


def find(name: str) -> Exporter:
    """The exporter called `name`, of the harness or of another package.

    Raises:
        UsageError: There is none; the message names the nearest.
    """
    if name not in TARGETS:
        raise UsageError(f"--to: '{name}' is unknown; {nearest(name, TARGETS)}")
    return EXPORTERS.get(name) or Exporter(name, f"by {TARGETS[name]}", TARGETS[name])
