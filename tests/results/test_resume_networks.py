"""Methods on transformers, interrupted after every phase, end as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.results.journal import Journal
from harness.runner import attempt as training
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

WORKLOADS: dict[str, dict[str, Any]] = {
    "ViT": {"data": "digits", "model": "vit_tiny", "train_samples": 240},
    "GPT": {"data": "python_docs", "model": "gpt_tiny", "context": 32, "train_samples": 96},
}
RECIPE = {
    "epochs": 3,
    "batch_size": 48,
    "schedule": "cosine",
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "ema": 0.5,
}
METHODS: dict[str, dict[str, Any]] = {
    "dense": {},
    "progressive": {"rounds": 2, "retrain_epochs": 1},
    "lottery_ticket": {"rounds": 1, "structured": True},
    "early_bird": {"window": 1, "prune_ratio": 0.5, "reinit": True},
    "prune_train": {"interval": 1, "lasso_ratio": 0.99, "threshold": 0.02},
    "fixed_epoch_prune": {"epoch": 1},
    "shuffled_ticket": {"rounds": 1},
    "magnitude_at_init": {},
    "snip": {},
    "grasp": {},
    "synflow": {"iterations": 3},
    "rigl": {"every_steps": 2, "sparsity": 0.5},
    "layer_dropping": {},
    "random_ltd": {},
}
FIRST = {"ViT": "prune_train", "GPT": "early_bird"}
"""The others take minutes, and are tried with `--torture`."""
SHRINKING = {"progressive", "lottery_ticket", "early_bird", "fixed_epoch_prune"}


def spec_of(network: str, method: str) -> RunSpec:
    study = {**STUDY, "workload": WORKLOADS[network], "training": RECIPE}
    [spec] = expand(Study(**{**study, "methods": {method: METHODS[method]}}), Registry.discover())
    return spec


@pytest.mark.torture
@pytest.mark.parametrize("network", WORKLOADS)
def test_interrupted_after_every_phase(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: Cases
) -> None:
    methods = sorted(METHODS, key=lambda method: method != FIRST[network])
    for method in methods[: cases(1, len(methods))]:
        with monkeypatch.context() as patched:
            _interrupted(spec_of(network, method), tmp_path / method, patched)


def _interrupted(spec: RunSpec, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = start(spec, place / "whole")
    attempt(spec, reference)
    journal = Journal(reference)
    assert journal.status == "done", journal.reason
    [result], [dense] = journal.events("result"), journal.events("dense")
    if spec.method in SHRINKING:
        assert result["parameters"] < 0.9 * dense["parameters"]
    monkeypatch.setattr(training, "JournalWriter", _Interrupted)
    folder = start(spec, place / "interrupted")
    stop_after_every_phase(spec, folder)
    assert_same_result(folder, reference)
    assert_whole(folder)
