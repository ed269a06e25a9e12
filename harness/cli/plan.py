"""`plan`: what `run` would do and cost, before anything is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.cli.foreign import check_foreign
from harness.cli.tune import Tuning, kind_of_trial
from harness.cli.until_decided import rounds_of
from harness.errors import RunError, UsageError
from harness.method.dry_run import planned_epochs
from harness.method.phases import Budget
from harness.results.energy_source import EnergyKinds
from harness.results.folder import StudyFolder
from harness.results.forecast import (
    ArmOf,
    Forecast,
    Pilot,
    Prediction,
    arm_of_run,
    finished,
    forecast,
    in_step,
    piloted,
    together,
)
from harness.scheduler.rounds import Called
from harness.settings.run_spec import RunSpec, short_labels_of, workloads_of
from harness.study.choose import choose_study
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.workloads.files import check_data


def show_plan(
    words: tuple[str, ...],
    seeds: tuple[int, ...],
    out: str | None,
    plugins: tuple[str, ...],
    changes: tuple[str, ...],
    commands: tuple[str, ...],
    *,
    until_decided: str | None,
    at_once: int | None,
    with_pilot: bool,
    price: float | None,
    as_json: bool,
) -> None:
    """Say what is to be run and what it will cost; nothing is run or written.

    Args:
        words: A study, if any, then names of methods.
        seeds: Replace the study's.
        out: The results folder.
        plugins: Python files with more methods.
        changes: Settings as KEY=VALUE.
        commands: Names of commands, which a misspelt word may have meant.
        until_decided: MIN-MAX: a rule for the seeds in place of the study's.
        at_once: Number of runs at a time; None takes the study's word.
        with_pilot: Train for some seconds where no finished run shows what it costs.
        price: Of a kWh.
        as_json: Print one JSON object.

    Raises:
        UsageError: The input is wrong, or a network or its data do not fit.
        MeasurementError: A pilot finds no sensor as asked for, or its GPU in use.
    """
    study, registry = choose_study(words, seeds, plugins, changes, commands, until_decided)
    specs = expand(study, registry)
    from harness.scheduler.ordering import Reliance, in_random_order

    relied_on = Reliance(specs, registry)
    specs = in_random_order(specs, relied_on)
    folder = StudyFolder(Path(out) if out else Path("results") / study.name)
    rounds = rounds_of(study, specs, relied_on)
    called = rounds.called(folder)
    specs = _called_for(specs, called)
    at_once = at_once or _divide(study)
    done = finished(folder, specs)
    check_foreign([spec for spec in specs if spec.title not in done], registry)
    pilots: dict[str, Pilot] = {}

    def judged(specs: list[RunSpec]) -> list[Forecast]:
        arms = forecast(folder, specs, done)
        return _with_pilots(study, specs, arms, registry, pilots, at_once) if with_pilot else arms

    tuning = Tuning.of(study, registry, folder, specs)
    trials = tuning.possible if tuning else []
    of_trials: list[Forecast] = []
    left_s = 0.0 if tuning is None else None
    if tuning is not None:
        ended = finished(tuning.folder, trials)
        of_trials = forecast(tuning.folder, trials, ended, kind_of_trial)
        if with_pilot:
            of_trials = _with_pilots(
                study, trials, of_trials, registry, pilots, at_once, kind_of_trial
            )
        left_s = time_left_s(trials, ended, of_trials, tuning.relied_on, at_once, kind_of_trial)
    of_runs = judged(specs)
    runs_left_s = time_left_s(specs, done, of_runs, relied_on, at_once)
    arms = [*of_trials, *of_runs]
    least = judged(called.runs) if study.rule else []
    facts = {
        "study": study.name,
        "folder": str(folder.path),
        "runs": len(specs),
        "trials": len(trials),
        "left": sum(arm.left for arm in arms),
        "at_once": at_once,
        "unknown": [arm.arm for arm in arms if arm.left and not arm.time_s],
        **_totals(study, arms, price),
        "makespan_s": None if left_s is None or runs_left_s is None else left_s + runs_left_s,
        "at_least": {
            "runs": len(called.runs),
            "left": sum(arm.left for arm in least),
            **_totals(study, least, price),
        }
        if study.rule
        else None,
        "arms": [_as_table(arm) for arm in arms],
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        short = short_labels_of(specs)
        names = {arm.arm: arm.arm for arm in of_trials}
        names |= {spec.arm: name for spec, name in zip(specs, short, strict=True)}
        _print(facts, arms, names)


def _called_for(specs: list[RunSpec], called: Called) -> list[RunSpec]:
    """The runs that are called for, and those that may be."""
    known = {spec.title for spec in (*called.runs, *called.may_follow)}
    return [spec for spec in specs if spec.title in known]


def _with_pilots(
    study: Study,
    specs: list[RunSpec],
    arms: list[Forecast],
    registry: Registry,
    found: dict[str, Pilot],
    at_once: int | None,
    arm_of: ArmOf = arm_of_run,
) -> list[Forecast]:
    """The same, with a pilot of each recipe of which no run is done; `found` keeps them."""
    if study.engine.gpus_per_run > 1:
        raise UsageError("--pilot uses a single GPU, but this study trains each run on several")
    for workload in workloads_of(specs):
        check_data(workload)
    from harness.runner.pilot import pilot
    from harness.scheduler.resources import divide_machine

    engine = study.engine
    slots = at_once if engine.kind == "local" and at_once else 1
    resources = divide_machine(slots, threads=engine.threads)[0]
    first = {arm_of(spec): spec for spec in reversed(specs)}
    with_pilots = []
    for arm in arms:
        spec = first[arm.arm]
        recipe = spec.model_dump_json(include={"workload", "training"})
        if arm.time_s or not arm.left:
            with_pilots.append(arm)
            continue
        if recipe not in found:
            what = f"{spec.workload.model} on {spec.workload.data}"
            click.echo(f"pilot: training {what} for a few seconds ...", err=True)
            try:
                found[recipe] = pilot(
                    spec, threads=resources.threads, one_if_small=resources.one_if_small
                )
            except (RunError, RuntimeError) as error:  # the latter as torch raises it
                raise UsageError(f"--pilot: training {what} failed: {error}") from None
        method = registry.get(spec.method)(**spec.hyperparameters)
        epochs = planned_epochs(method, Budget(spec.training.epochs), found[recipe].steps)
        with_pilots.append(piloted(arm, found[recipe], epochs))
    return with_pilots


def _divide(study: Study) -> int | None:
    """How many runs at a time; None where a queue decides."""
    engine = study.engine
    return engine.slurm.at_once if engine.kind == "slurm" else engine.at_once


def _totals(study: Study, arms: list[Forecast], price: float | None) -> dict[str, Any]:
    """Sums over the arms of which something is known."""
    from harness.energy.carbon.factor import JOULES_PER_KWH, carbon_factor

    known = [arm for arm in arms if arm.time_s]
    energy = _sum(known, lambda arm: arm.energy_j)
    factor = carbon_factor(study.carbon)
    kwh = _times(energy, 1 / JOULES_PER_KWH)
    return {
        "time_s": _pair(_sum(known, lambda arm: arm.time_s)),
        "energy_kwh": _pair(kwh),
        "energy_standing": EnergyKinds.union(arm.kinds for arm in known).adjective,
        "co2e_kg": _pair(_times(kwh, factor.kg_per_kwh)),
        "co2e_basis": factor.basis,
        "price": None if price is None else _pair(_times(kwh, price)),
        "disk_bytes": _pair(_sum(known, lambda arm: arm.disk_bytes)),
    }


def _sum(arms: list[Forecast], of: Callable[[Forecast], Prediction | None]) -> Prediction:
    by_runs = [found for arm in arms if not arm.is_piloted and (found := of(arm))]
    by_pilot = [found for arm in arms if arm.is_piloted and (found := of(arm))]
    return together([*by_runs, in_step(by_pilot)] if by_pilot else by_runs)


def time_left_s(
    specs: list[RunSpec],
    done: frozenset[str],
    arms: list[Forecast],
    relied_on: Callable[[RunSpec], list[RunSpec]],
    places: int | None,
    arm_of: ArmOf = arm_of_run,
) -> float | None:
    """How long until all is done, with this number of runs at a time; None if that is not known."""
    from harness.scheduler.ordering import makespan_s

    each = {arm.arm: arm.time_s.value / arm.left for arm in arms if arm.time_s and arm.left}
    if places is None or any(arm.left and arm.arm not in each for arm in arms):
        return None
    left = [spec for spec in specs if spec.title not in done]
    place = {spec.title: index for index, spec in enumerate(left)}
    before = [
        [place[other.title] for other in relied_on(spec) if other.title in place] for spec in left
    ]
    return makespan_s([each[arm_of(spec)] for spec in left], places, before)


def _times(expected: Prediction, factor: float) -> Prediction:
    width = expected.half_width
    return Prediction(expected.value * factor, None if width is None else width * factor)


def _pair(expected: Prediction) -> dict[str, float | None]:
    return {"value": expected.value, "half_width": expected.half_width}


def _as_table(arm: Forecast) -> dict[str, Any]:
    return {
        "arm": arm.arm,
        "runs": arm.runs,
        "left": arm.left,
        "judged_by": arm.examples,
        "piloted": arm.is_piloted,
        "pilot_cut_short": arm.cut_short,
        "energy_standing": arm.kinds.adjective,
        "time_s": arm.time_s and _pair(arm.time_s),
        "energy_j": arm.energy_j and _pair(arm.energy_j),
        "disk_bytes": arm.disk_bytes and _pair(arm.disk_bytes),
    }


def _print(facts: dict[str, Any], arms: list[Forecast], names: dict[str, str]) -> None:
    from rich.console import Console

    from reports.tables.plan import plan_table, plan_totals

    click.echo(
        f"study {facts['study']}: {_runs(facts)}, {facts['left']} to do, "
        f"results in {facts['folder']}"
    )
    Console(highlight=False).print(plan_table(arms, names))
    for line in plan_totals(facts):
        click.echo(line)


def _runs(facts: dict[str, Any]) -> str:
    """How many; by a rule from the least to the most."""
    if facts["at_least"] is None:
        trials = f"{facts['trials']} trials and " if facts["trials"] else ""
        return f"{trials}{facts['runs']} runs"
    return f"{facts['at_least']['runs']} to {facts['runs']} runs (seeds until decided)"
