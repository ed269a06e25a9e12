"""Every other method, interrupted after every phase, ends as if nothing had happened.

With AdamW, batches in parts, and a moving average of the weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RunError
from harness.pruning.channel_mask import ChannelMask
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal
from harness.results.run_energy import Ledger
from harness.runner import attempt as training
from harness.runner.attempt import recall
from harness.settings.run_spec import RunSpec
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from tests.conftest import Cases
from tests.results.test_resume import (
    STUDY,
    _Interrupted,
    assert_same_result,
    assert_whole,
    attempt,
    start,
    stop_after_every_phase,
)

RECIPE = {
    **STUDY["training"],
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "weight_decay": 0.1,
    "weight_decay_of": "weights",
    "clip_norm": 1.0,
    "accumulate": 2,
    "ema": 0.5,
}
PLUGIN = str(Path(__file__).with_name("own_phases.py"))
METHODS: dict[str, Any] = {
    "dense": {},
    "early_bird": {"window": 2, "max_distance": 0.3, "low_precision": "search", "low": "bf16"},
    "dense_short": {"match": "early_bird"},
    "small_dense": {},
    "random_ticket": {"window": 2, "max_distance": 0.3, "low_precision": "all"},
    "fixed_epoch_prune": {},
    "shuffled_ticket": {"rounds": 2, "fraction": 0.3},
    "magnitude_at_init": {},
    "snip": {},
    "grasp": {},
    "synflow": {"iterations": 5},
    "rigl": {"every_steps": 2, "sparsity": 0.5},
    "prune_train": {"interval": 1, "lasso_ratio": 0.985, "threshold": 0.15, "min_channels": 1},
    "when_to_prune": {"score": "taylor", "window": 1, "threshold": 0.5, "search_epochs": 3},
    "early_crop": {"samples": 32, "search_epochs": 3},
    "freeze_out": {"first": 0.4},
    "info_batch": {"prune_ratio": 0.7},
    "batch_dropping": {},
    "selective_backprop": {},
    "progressive_resizing": {"delay": 0.2, "finetune": 0.3, "multiple": 1},
    "own_phases": {},
}
SPECS = expand(
    Study(**{**STUDY, "training": RECIPE, "methods": METHODS, "plugins": [PLUGIN]}),
    Registry.discover((PLUGIN,)),
)
ALIKE = {
    "dense",
    "fixed_epoch_prune",
    "magnitude_at_init",
    "grasp",
    "synflow",
    "batch_dropping",
    "shuffled_ticket",
    "random_ticket",
    "small_dense",
    "dense_short",
    "snip",
}
"""Methods that keep no state of another kind than one here: interrupted with `--torture` alone."""
IDS = {"argnames": "spec", "argvalues": SPECS, "ids": lambda spec: spec.method}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run, uninterrupted, in one folder of results."""
    study = tmp_path_factory.mktemp("reference")
    for spec in SPECS:
        attempt(spec, start(spec, study))
    return study


def of(study: Path, method: str) -> RunFolder:
    [spec] = [spec for spec in SPECS if spec.method == method]
    return StudyFolder(study).run(spec)


@pytest.mark.parametrize(**IDS)
def test_it_ends_well(spec: RunSpec, study: Path) -> None:
    journal = Journal(StudyFolder(study).run(spec))
    assert journal.status == "done", journal.reason
    assert_whole(StudyFolder(study).run(spec))


@pytest.mark.torture
@pytest.mark.parametrize(**IDS)
def test_interrupted_after_every_phase(
    spec: RunSpec, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: Cases
) -> None:
    if spec.method in ALIKE and not cases(0, 1):
        pytest.skip("tried with --torture")
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    for method in (
        Registry.discover(spec.plugins).get(spec.method)(**spec.hyperparameters).relies_on()
    ):
        there = of(study, method).path
        shutil.copytree(there, tmp_path / there.relative_to(study))
    folder = start(spec, tmp_path)
    stop_after_every_phase(spec, folder)
    assert_same_result(folder, StudyFolder(study).run(spec))
    assert_whole(folder)


def test_a_ticket_that_another_run_drew_is_taken_over_width_by_width(study: Path) -> None:
    ticket = recall(StudyFolder(study), SPECS[0], "early_bird").ticket
    [small] = Journal(of(study, "small_dense")).events("result")
    [early] = Journal(of(study, "early_bird")).events("result")
    assert ticket is not None
    assert ticket.kept < ticket.channels
    assert (small["parameters"], small["macs"]) == (early["parameters"], early["macs"])


def test_random_channels_have_the_tickets_widths(study: Path) -> None:
    shrinks = {
        name: [
            ChannelMask(event["description"]["mask"])
            for event in Journal(of(study, name)).events("answer")
            if event["description"]["kind"] == "Shrink"
        ]
        for name in ("random_ticket", "early_bird")
    }
    assert all(len(masks) == 1 for masks in shrinks.values())
    [random], [inspected] = (
        shrinks["random_ticket"],
        [
            event["answer"]
            for event in Journal(of(study, "random_ticket")).events("answer")
            if "bn_channel_mask" in str(event["description"])
        ][-1:],
    )
    assert random.widths() == ChannelMask(inspected["channel_mask"]).widths()


def test_the_joules_of_another_run_set_the_length_of_the_schedule(study: Path) -> None:
    joules = {name: Ledger(of(study, name)).outer.energy_j for name in ("early_bird", "dense")}
    [short] = Journal(of(study, "dense_short")).events("result")
    expected = round(4 * joules["early_bird"] / joules["dense"])
    assert short["epochs_trained"] == max(expected, 1)


def test_prune_train_really_shrinks_and_masks_do_not(study: Path) -> None:
    def left(method: str) -> tuple[float, float]:
        journal = Journal(of(study, method))
        [result] = journal.events("result")
        return result["parameters"] / journal.events("dense")[0]["parameters"], result["density"]

    assert left("prune_train")[0] < 0.9
    for method, sparsity in (("snip", 0.9), ("synflow", 0.9), ("rigl", 0.5)):
        parameters, density = left(method)
        assert parameters == 1
        assert density == pytest.approx(1 - sparsity, abs=0.01)


@pytest.mark.parametrize(("seed", "method"), [(1, "early_bird"), (0, "progressive")])
def test_a_run_that_is_not_there_is_reported(seed: int, method: str, study: Path) -> None:
    mine = SPECS[0].model_copy(update={"seed": seed})
    with pytest.raises(RunError, match=f"needs one finished run of {method} with seed {seed}"):
        recall(StudyFolder(study), mine, method)
