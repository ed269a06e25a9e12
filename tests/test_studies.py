"""Every built-in study parses, can be planned, and runs to its end on a handful of images."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.method.dry_run import planned_epochs
from harness.method.phases import Budget
from harness.results.journal import Journal
from harness.results.table import Tables
from harness.settings.catalogue import TEXTS
from harness.settings.run_spec import RunSpec
from harness.study.choose import built_in_studies, choose_study
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from tests.conftest import REPOSITORY
from tests.results.test_resume import attempt, start
from tests.workloads import files

STUDIES = built_in_studies()
TICKETS = ("lottery_ticket", "shuffled_ticket")
SWEPT = {"prune_ratio", "fraction", "sparsity", "share"}
"""How much is pruned; one value of each stands for the others."""
SMALLER = {"vgg16": "vgg_small", "resnet18": "resnet20", "torchvision/resnet18": "resnet20"}
"""Networks of the same build: what is tried is the recipe."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data sets of the studies, with a few images a class."""
    root = tmp_path_factory.mktemp("data")
    files.mnist(root, "FashionMNIST")
    files.cifar(root, 10, each=1)
    files.cifar(root, 100, each=2)
    wordnet = ("n01440764", "n01443537", "n01484850")
    files.pictures(root, wordnet, ("train", "val"), size=(40, 36), ending="jpg")
    (root / "text").mkdir()
    (root / "text" / "some.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 30)
    return root


def chosen(name: str, *changes: str) -> tuple[Any, Registry]:
    return choose_study((name,), (), (), changes, ())


def study_of(name: str) -> Study:
    study: Study = chosen(name)[0]
    return study


def way(spec: RunSpec) -> str:
    """How a method is used: on what data, with which settings of its own."""
    settings = sorted(spec.hyperparameters.keys() - SWEPT)
    return str((spec.method, settings, spec.workload.data in TEXTS))


@pytest.fixture(scope="module")
def first_of(root: Path) -> dict[str, str]:
    """The first study that uses a method in a way: the others need not try it again."""
    found: dict[str, str] = {}
    for name in STUDIES:
        for spec in tiny(name, root):
            found.setdefault(way(spec), name)
    return found


def tiny(name: str, root: Path) -> list[RunSpec]:
    """The runs of a study's first seed for two epochs, one for each way a method is used."""
    changes = ["seeds=[0]", "training.epochs=2", "training.batch_size=16", "workload.workers=1"]
    if study_of(name).workload.data in TEXTS:
        changes += ["workload.data=text", f"workload.root={root / 'text'}", "workload.context=16"]
        changes += ["workload.train_samples=32"]
    elif name == "laptop-vision":
        changes += [f"workload.root={root}"]
    elif name != "quick":
        size = 32 if "imagenet" in name else 16
        changes += [f"workload.root={root}", f"workload.image_size={size}"]
        changes += [f"workload.model={SMALLER[study_of(name).workload.model]}"]
        changes += ["workload.validation_share=0.5"]
    if name == "controls":  # two epochs of a few images are over before step 500
        changes += [f"methods.{ticket}.rewind_steps=1" for ticket in TICKETS]
    ways: dict[str, RunSpec] = {}
    for spec in expand(*chosen(name, *changes)):
        others = {k: v for k, v in spec.hyperparameters.items() if k not in SWEPT}
        # The dense arm tries the recipe of each variant.
        variant = spec.variant if spec.method == "dense" else None
        ways.setdefault(str((spec.method, variant, others)), spec)
    return list(ways.values())


@pytest.mark.parametrize("name", STUDIES)
def test_it_is_named_as_its_file_and_says_what_it_is_for(name: str) -> None:
    study, _ = chosen(name)
    assert study.name == name
    text = (REPOSITORY / "harness" / "study" / "studies" / f"{name}.toml").read_text("utf-8")
    assert text.startswith("# ")
    assert tomllib.loads(text)["methods"]


@pytest.mark.parametrize("name", STUDIES)
def test_it_can_be_planned(name: str) -> None:
    study, registry = chosen(name)
    specs = expand(study, registry)
    budget = Budget(study.training.epochs)
    epochs = [
        planned_epochs(registry.get(spec.method)(**spec.hyperparameters), budget) for spec in specs
    ]
    dense = [e for e, spec in zip(epochs, specs, strict=True) if spec.method == "dense"]
    assert set(dense) == {budget.epochs}
    assert min(epochs) >= 1


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_it_runs_two_epochs_on_tiny_data(
    name: str, root: Path, first_of: dict[str, str], tmp_path: Path
) -> None:
    specs = [
        spec
        for spec in tiny(name, root)
        if first_of[way(spec)] == name or spec.method in ("dense", "early_bird")
    ]
    for spec in specs:
        folder = start(spec, tmp_path)
        attempt(spec, folder)
        folder.checkpoint.unlink()
        assert Journal(folder).status == "done", f"{spec.title}: {Journal(folder).reason}"
    table = Tables(tmp_path).runs
    assert len(table) == len(specs)
    shrinks = table["method"].isin(["early_bird", "progressive", "small_dense", "random_ticket"])
    assert (table.loc[shrinks, "parameters"] < table.loc[shrinks, "dense_parameters"]).all()


def test_the_first_variant_is_what_others_are_compared_with(root: Path, tmp_path: Path) -> None:
    specs = [s for s in tiny("decompose-headline", root) if s.method == "dense"][:2]
    for spec in reversed(specs):
        attempt(spec, start(spec, tmp_path))
    study, _ = chosen("decompose-headline")
    saved = {"schema_version": 2, **study.model_dump(mode="json")}
    (tmp_path / "study.json").write_text(json.dumps(saved))
    assert Tables(tmp_path).baseline == f"dense variant={specs[0].variant}"
