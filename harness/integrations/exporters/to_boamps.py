"""`boamps`: a report per finished run in the open data model of BoAmps, by CodeCarbon's classes.

BoAmps is by Boavizta, https://github.com/Boavizta/BoAmps.
"""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.energy.carbon.factor import JOULES_PER_KWH
from harness.energy.carbon.quiet import import_codecarbon
from harness.energy.sensors.base import Sensor
from harness.energy.trace_file import lines
from harness.integrations.exporters.tracked import identity, place
from harness.results.energy_source import EnergyKinds
from harness.results.folder import RunFolder
from harness.settings.metric import ACCURACY
from harness.settings.run_spec import RunSpec
from harness.utils.atomic_write import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from harness.results.table import Tables


def export(tables: Tables, folder: Path, out: str | None) -> str:
    """Write a report per run, as a JSON file.

    Only finished runs with a known energy get one: the model requires an energy, and describes
    complete trainings.
    """
    path = place(folder, out, "boamps")
    attempts = dict(iter(tables.attempts.groupby(["arm", "seed"])))
    written = 0
    for record in tables.runs.to_dict("records"):
        row: dict[str, Any] = {str(key): value for key, value in record.items()}
        if row["status"] != "done" or not row["energy_j"] > 0:
            continue
        run = tables.folder(row["arm"], row["seed"])
        content = report(row, attempts[row["arm"], row["seed"]], run, tables.settings["carbon"])
        name = f"{run.path.parent.name}_{run.path.name}.json"
        write_atomically(path / name, json.dumps(content, indent=2, allow_nan=False).encode())
        written += 1
    left_out = len(tables.runs) - written
    note = f"; {left_out} left out: not finished, or of unknown energy" if left_out else ""
    return f"{path}: {written} reports{note}"


_QUALITY = ((10, "high"), (25, "medium"), (50, "low"))
"""Upper limits of the error in percent, with BoAmps' words; it has none for more."""
_COMPONENTS = {"dram": "ram", "module": "gpu"}
"""BoAmps' names for kinds of device, where they differ."""
_PRIVATE_DATA = "folder"
"""The data set that is the user's own."""


def report(
    row: dict[str, Any], attempts: pd.DataFrame, folder: RunFolder, site: dict[str, Any]
) -> dict[str, Any]:
    """The report as JSON.

    Args:
        row: The run's row in the table of runs; done, with a known energy.
        attempts: Its rows in the table of attempts.
        folder: Its files.
        site: The study's `carbon` table.
    """
    import_codecarbon()
    from codecarbon.output_methods.boamps import mapper, models

    spec = folder.read_spec()
    last = attempts.iloc[-1]
    versions: dict[str, str] = json.loads(last["versions"])
    sensors = _sensors(folder, int(last["attempt"]))
    content: dict[str, Any] = models.BoAmpsReport(
        header=models.BoAmpsHeader(
            format_version=mapper.BOAMPS_FORMAT_VERSION,
            format_version_specification_uri=mapper.BOAMPS_FORMAT_SPEC_URI,
            report_id=str(uuid.uuid5(uuid.NAMESPACE_OID, identity(spec, attempts))),
            report_datetime=_moment(datetime.now(UTC)),
            # Its publisher knows what is missing: who they are, and where the machine stands.
            report_status="draft",
        ),
        task=_task(models, row, spec, versions),
        measures=[_measure(models, row, attempts, spec, sensors, versions)],
        system=models.BoAmpsSystem(os=versions.get("system", "unknown").partition("-")[0]),
        software=models.BoAmpsSoftware(language="python", version=versions.get("python")),
        infrastructure=_infrastructure(models, sensors, site),
        environment=_environment(models, row, site),
        quality=_quality(row),
    ).to_dict()
    return content


def _task(models: Any, row: dict[str, Any], spec: RunSpec, versions: dict[str, str]) -> Any:
    is_accuracy = row["metric"] == ACCURACY.name
    score = row["test_score"]
    return models.BoAmpsTask(
        task_stage="training",
        task_family="imageClassification" if is_accuracy else "other",
        algorithms=[
            models.BoAmpsAlgorithm(
                training_type="supervisedLearning",
                algorithm_type="neuralNetwork",
                algorithm_name=spec.workload.model,
                parameters_number=row["parameters"] / 1e9,
                framework="pytorch",
                framework_version=versions.get("torch"),
                epochs_number=row["epochs_trained"],
                optimizer=spec.training.optimizer,
                quantization=spec.training.precision,
            )
        ],
        dataset=[
            models.BoAmpsDataset(
                data_usage="input",
                data_type="image" if is_accuracy else "other",
                source=None if spec.workload.data == _PRIVATE_DATA else "public",
            )
        ],
        measured_accuracy=score if is_accuracy and math.isfinite(score) else None,
        task_description=_description(row, spec),
    )


def _description(row: dict[str, Any], spec: RunSpec) -> str:
    """What the data model has no field for: the method, and the quality of the figure."""
    hyper = ", ".join(f"{key}={value}" for key, value in spec.hyperparameters.items())
    word = EnergyKinds.of_source(row["energy_source"]).adjective
    energy = (
        f"is {word}: {row['energy_j'] / JOULES_PER_KWH:.4g} kWh "
        f"± {_relative(row):.1f} % (95 %), source {row['energy_source']}, devices "
        f"{row['energy_scope']}, {row['coverage'] * 100:.1f} % of the time observed."
    )
    sentences = [
        f"{spec.workload.model} on {spec.workload.data}, trained by {spec.method}",
        f"({hyper})" if hyper else "",
        f"with seed {spec.seed}.",
        ""
        if row["metric"] == ACCURACY.name
        else f"Its {row['metric']} on test data: {row['test_score']:.4g}.",
        "The energy of the whole recipe (searching, pruning, evaluating, attempts that broke off)",
        energy,
        f"Assumptions: {row['energy_note']}." if row["energy_note"] else "",
        f"Doubts: {row['energy_flags']}." if row["energy_flags"] else "",
        "Times are UTC.",
    ]
    return " ".join(filter(None, sentences))


def _measure(
    models: Any,
    row: dict[str, Any],
    attempts: pd.DataFrame,
    spec: RunSpec,
    sensors: list[Sensor],
    versions: dict[str, str],
) -> Any:
    kinds = EnergyKinds.of_source(row["energy_source"])
    calibration_kwh, calibration_s = _calibration(row, spec)
    return models.BoAmpsMeasure(
        measurement_method="energy-harness" + ("" if kinds.measured else f" ({kinds.adjective})"),
        version=versions.get("energy-harness"),
        cpu_tracking_mode=_tracking("cpu", row, sensors),
        gpu_tracking_mode=_tracking("gpu", row, sensors) or _tracking("module", row, sensors),
        power_calibration_measurement=calibration_kwh,
        duration_calibration_measurement=calibration_s,
        power_consumption=row["energy_j"] / JOULES_PER_KWH,
        measurement_duration=row["duration_s"],
        measurement_date_time=_moment(datetime.fromisoformat(attempts.iloc[0]["started_at"])),
    )


def _tracking(kind: str, row: dict[str, Any], sensors: list[Sensor]) -> str | None:
    """How devices of a kind were read; None if they are not part of the figure."""
    if kind not in row["energy_scope"].split("+"):
        return None
    sources = row["energy_source"].split("+")
    used = [sensor for sensor in sensors if sensor.kind == kind and sensor.source in sources]
    return "; ".join(sorted({f"{sensor.source}: {sensor.note}" for sensor in used})) or None


def _calibration(row: dict[str, Any], spec: RunSpec) -> tuple[float | None, float | None]:
    """Idle energy before the run, in kWh, and how long it was measured.

    The table has idle power times the run's duration; the idle time is that of the settings.
    """
    idle_j = row["idle_energy_j"]
    if idle_j is None or not math.isfinite(idle_j):
        return None, None
    idle_s = spec.energy.idle_s
    return idle_j / row["duration_s"] * idle_s / JOULES_PER_KWH, idle_s


def _infrastructure(models: Any, sensors: list[Sensor], site: dict[str, Any]) -> Any:
    cloud = site.get("cloud")
    devices = {sensor.device: sensor for sensor in sensors}
    alike: dict[tuple[str, str], int] = {}
    for sensor in devices.values():
        component = (_COMPONENTS.get(sensor.kind, sensor.kind), sensor.name)
        alike[component] = alike.get(component, 0) + 1
    return models.BoAmpsInfrastructure(
        infra_type="publicCloud" if cloud else "other",
        cloud_provider=cloud.partition("/")[0] if cloud else None,
        components=[
            models.BoAmpsHardware(component_type=kind, component_name=name, nb_component=count)
            for (kind, name), count in alike.items()
        ],
    )


def _environment(models: Any, row: dict[str, Any], site: dict[str, Any]) -> Any:
    """The place of the electricity; None if the study names none."""
    if not site.get("country"):
        return None
    import pycountry

    country = pycountry.countries.get(alpha_3=site["country"])
    g_per_kwh = row["co2e_kg"] * 1000 / (row["energy_j"] / JOULES_PER_KWH) / site.get("pue", 1.0)
    return models.BoAmpsEnvironment(
        country=country.name if country else site["country"],
        location=site.get("region"),
        power_source_carbon_intensity=g_per_kwh if math.isfinite(g_per_kwh) else None,
    )


def _quality(row: dict[str, Any]) -> str | None:
    """BoAmps' word for the relative uncertainty; None for simulated figures."""
    if EnergyKinds.of_source(row["energy_source"]).simulated:
        return None
    percent = round(_relative(row))
    return next((word for most, word in _QUALITY if percent <= most), None)


def _relative(row: dict[str, Any]) -> float:
    """Uncertainty of the energy in percent (95 %)."""
    return float(row["uncertainty_j"] / row["energy_j"] * 100)


def _sensors(folder: RunFolder, attempt: int) -> list[Sensor]:
    """The sensors of an attempt, each of a whole device."""
    records = (line for line in lines(folder.trace(attempt)) if isinstance(line, dict))
    header: dict[str, Any] = next((line for line in records if "sensors" in line), {"sensors": []})
    sensors = [Sensor.from_json(saved) for saved in header["sensors"]]
    return [sensor for sensor in sensors if sensor.part == "device"]


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
