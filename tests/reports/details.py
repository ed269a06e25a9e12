"""What a study of `synthetic.make` holds beside its tables: attempts, masks, traces, carbon."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from harness.results.run_detail import POWER, STATES, WINDOWS, CloseUp
from harness.results.tuning import COLUMNS as TUNING_COLUMNS
from reports.data import ATTEMPT_COLUMNS, HOUR_COLUMNS, PLACE_COLUMNS, TICKET_COLUMNS, StudyResults

PLACES = [
    ("here", 0.475, "world average (IEA 2019), direct emissions, 475 g/kWh, PUE 1", "here"),
    ("DEU", 0.371, "Germany 2023, life cycle, CodeCarbon, 371 g/kWh", "also"),
    (
        "SWE",
        0.041,
        "Sweden 2023, life cycle, CodeCarbon, 41 g/kWh",
        "reference",
    ),
    (
        "FRA",
        0.056,
        "France 2023, life cycle, CodeCarbon, 56 g/kWh",
        "reference",
    ),
    (
        "POL",
        0.662,
        "Poland 2023, life cycle, CodeCarbon, 662 g/kWh",
        "reference",
    ),
    ("ZAF", 0.709, "South Africa 2023, life cycle, CodeCarbon (Our World in Data)", "reference"),
]
CHECKS = 8
TRIALS = 4


def detailed(results: StudyResults, *, hours: bool = True, states: bool = True) -> StudyResults:
    """The same study with all that raw records would add; the same input gives the same."""
    rng = np.random.default_rng(1)
    tickets = [
        row
        for arm, seed in zip(results.finished["arm"], results.finished["seed"], strict=True)
        for row in _tickets(results, str(arm), int(seed))
    ]
    return replace(
        results,
        attempts=pd.DataFrame(_attempts(results), columns=ATTEMPT_COLUMNS),
        tickets=pd.DataFrame(tickets, columns=TICKET_COLUMNS),
        places=pd.DataFrame(PLACES, columns=PLACE_COLUMNS),
        tuning=_tuning(results),
        runs=results.runs.assign(tuning_j=4321.0, tuning_uncertainty_j=54.0),
        hours=pd.DataFrame(_hours(results) if hours else [], columns=HOUR_COLUMNS),
        close_ups={
            arm: _close_up(results, arm, rng, states=states) for arm in results.finished_arms
        },
        settings={
            "name": results.study,
            "seeds": sorted(set(results.runs["seed"].tolist())),
            "workload": {"data": "digits", "model": "vgg_small"},
            "training": {"epochs": 12, "batch_size": 64, "precision": "fp32"},
            "tuning": {"trials": TRIALS, "halvings": 1},
            "energy": {"meters": ["nvml", "rapl", "estimate"], "period_s": 0.05},
        },
    )


def _tuning(results: StudyResults) -> pd.DataFrame:
    """Trials of two keys for every finished arm, the better half of which trained twice as long."""
    rows = []
    source = results.finished["energy_source"].iloc[0] if len(results.finished) else ""
    for arm in results.finished_arms:
        score = float(pd.Series(results.by_seed(arm, "val_score")).mean())
        energy_j = float(pd.Series(results.by_seed(arm, "energy_j")).mean())
        for epochs, trials in ((6, range(TRIALS)), (12, (0, 2))):
            for number in trials:
                share = epochs / 12
                rows.append(
                    {
                        "arm": arm,
                        "trial": number,
                        "epochs": epochs,
                        "role": "chosen" if (epochs, number) == (12, 0) else "trial",
                        "status": "failed" if (epochs, number) == (6, 3) else "done",
                        "val_score": score - results.metric.sign * 0.01 * (1 - share + number % 3),
                        "energy_j": energy_j * share,
                        "uncertainty_j": energy_j * share * 0.02,
                        "gain_j": energy_j * share * 0.01,
                        "energy_source": source,
                        "duration_s": energy_j * share / 15,
                        "learning_rate": (0.1, 0.02, 0.3, 0.7)[number],
                        "schedule": ("step", "cosine", "cosine", "step")[number],
                    }
                )
    return pd.DataFrame(rows, columns=[*TUNING_COLUMNS, "learning_rate", "schedule"])


def _method(results: StudyResults, arm: str) -> str:
    return str(results.runs.loc[results.runs["arm"] == arm, "method"].iloc[0])


def _distances() -> np.ndarray:
    """Masks that settle: far apart at first, near at the end."""
    place = np.cumsum([0.0, 0.17, 0.09, 0.06, 0.04, 0.03, 0.02, 0.01])
    return np.abs(place[:, None] - place[None, :])


def _tickets(results: StudyResults, arm: str, seed: int) -> list[dict[str, object]]:
    if _method(results, arm) != "early_bird":
        return []
    distances = _distances()
    return [
        {
            "arm": arm,
            "method": "early_bird",
            "seed": seed,
            "order": order,
            "epochs_trained": order + 1,
            "energy_j": 2.5 * (order + 1),
            "kept": 0.5,
            "distance": distances[order, order - 1] * (1 + 0.1 * seed) if order else np.nan,
            "largest_distance": distances[order, order - 4] * (1 + 0.1 * seed)
            if order >= 4
            else np.nan,
        }
        for order in range(CHECKS)
    ]


def _attempts(results: StudyResults) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for run in results.runs.to_dict("records"):
        count = int(run["attempts"])
        for number in range(1, count + 1):
            last = number == count
            share = 0.9 if last and count > 1 else 1.0 if last else 0.1
            rows.append(
                {
                    **{key: run[key] for key in ("arm", "method", "seed", "host", "device")},
                    "attempt": number,
                    "status": run["status"] if last else "died",
                    "restored": number - 1,
                    "started_at": run["started_at"],
                    "duration_s": run["duration_s"] * share,
                    "energy_j": run["energy_j"] * share,
                    "uncertainty_j": run["uncertainty_j"] * share,
                    "lost_j": 0.0 if last else run["lost_j"],
                    "device_name": "",
                    "threads": 2,
                    "versions": json.dumps({"python": "3.11.7", "torch": "2.13.0"}),
                }
            )
    return rows


def _hours(results: StudyResults) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for arm in results.finished_arms:
        for hour in range(24):
            mean = 0.35 + 0.12 * float(np.cos((hour - 19) / 24 * 2 * np.pi))
            rows.append(
                {
                    "arm": arm,
                    "hour": hour,
                    "kg_per_kwh": mean,
                    "kg_per_kwh_low": 0.7 * mean,
                    "kg_per_kwh_high": 1.2 * mean,
                }
            )
    return rows


def _close_up(
    results: StudyResults, arm: str, rng: np.random.Generator, *, states: bool
) -> CloseUp:
    seed = results.median_seed(arm)
    phases = results.phases[(results.phases["arm"] == arm) & (results.phases["seed"] == seed)]
    ends = phases["duration_s"].cumsum().to_numpy()
    starts = ends - phases["duration_s"].to_numpy()
    device = str(results.finished["energy_device"].iloc[0])
    edges = np.linspace(0, ends[-1], 301)
    middle = (edges[1:] + edges[:-1]) / 2
    of_phase = phases["energy_j"].to_numpy() / phases["duration_s"].to_numpy()
    watts = of_phase[np.minimum(np.searchsorted(ends, middle), len(ends) - 1)]
    mean_w = watts * (1 + 0.05 * rng.standard_normal(300))
    coverage = np.where((np.arange(300) > 200) & (np.arange(300) < 206), 0.0, 1.0)
    power = {
        "device": device,
        "start_s": edges[:-1],
        "end_s": edges[1:],
        "low_w": 0.9 * mean_w,
        "mean_w": mean_w,
        "high_w": 1.1 * mean_w,
        "coverage": coverage,
    }
    table = pd.DataFrame(
        {
            "device": device,
            "start_s": edges[:-1:10],
            "end_s": [*edges[10:-1:10], edges[-1]],
            "temperature_c": np.round(40 + 25 * (1 - np.exp(-np.arange(30) / 8))),
            "throttled": (np.arange(30) > 24) & (np.arange(30) < 27),
        }
    )
    early = _method(results, arm) == "early_bird"
    return CloseUp(
        seed=seed,
        power=pd.DataFrame(power, columns=POWER),
        windows=pd.DataFrame(
            {"attempt": 1, "phase": phases["phase"], "start_s": starts, "end_s": ends},
            columns=WINDOWS,
        ),
        states=table if states else table.iloc[:0].reindex(columns=STATES),
        mask_epochs=np.arange(1, CHECKS + 1) if early else np.arange(0),
        mask_distances=_distances() if early else np.zeros((0, 0)),
    )
