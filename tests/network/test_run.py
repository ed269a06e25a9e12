"""What a finished run leaves in its folder is enough to use its network on raw inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import harness
from harness.errors import UsageError
from harness.network.load import network_of
from harness.network.record import MASKS, read_record
from harness.results.folder import RunFolder
from harness.results.journal import Journal
from harness.settings.settings import Training
from harness.study.expand import expand
from harness.study.registry import Registry
from harness.study.study import Study
from harness.workloads.workload import Workload, open_workload
from tests.results.test_resume import STUDY, attempt, start

WORKLOADS: dict[str, dict[str, Any]] = {
    "vgg": {"data": "digits", "model": "vgg_small", "train_samples": 192},
    "vit": {"data": "digits", "model": "vit_tiny", "train_samples": 96},
    "gpt": {"data": "python_docs", "model": "gpt_tiny", "train_samples": 96},
}
RECIPE = {"epochs": 2, "batch_size": 96, "optimizer": "adamw", "learning_rate": 0.003}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """A run of each family that removed half of what can be removed; and one with masks."""
    found = {}
    cases = [(name, "fixed_epoch_prune") for name in WORKLOADS] + [("vgg", "snip")]
    for family, method in cases:
        study = {
            **STUDY,
            "workload": WORKLOADS[family],
            "training": RECIPE,
            "methods": {method: {}},
        }
        [spec] = expand(Study(**study), Registry.discover())
        folder = start(spec, tmp_path_factory.mktemp(f"{family}-{method}"))
        attempt(spec, folder)
        assert Journal(folder).status == "done", Journal(folder).reason
        found[family if method != "snip" else "masked"] = folder
    return found


def workload_of(folder: RunFolder) -> Workload:
    spec = folder.read_spec()
    return open_workload(spec.workload, Training(**RECIPE), torch.device("cpu"))


@pytest.mark.parametrize("name", ["vgg", "vit", "gpt", "masked"])
def test_the_network_scores_what_the_run_scored(name: str, runs: dict[str, RunFolder]) -> None:
    folder = runs[name]
    [result] = Journal(folder).events("result")
    network, workload = harness.load_network(folder.path), workload_of(folder)
    with torch.no_grad():
        scores = [
            workload.task.scores(network(batch.inputs), batch.targets)
            for batch in workload.test.in_order()
        ]
    assert float(torch.cat(scores).float().mean()) == pytest.approx(result["test_score"], abs=1e-6)
    assert sum(each.numel() for each in network.parameters()) == result["parameters"]
    record = read_record(folder.path)
    assert (record.test_score, record.macs) == (result["test_score"], result["macs"])


def test_a_picture_file_is_read_as_evaluation_reads_it(
    runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    folder = runs["vgg"]
    workload = workload_of(folder)
    batch = next(iter(workload.test.in_order(20)))
    record = read_record(folder.path)
    [mean], [spread] = record.encoding.mean, record.encoding.spread
    network = network_of(record, folder.path)
    with torch.no_grad():
        expected = network(batch.inputs).argmax(dim=1).tolist()
    found = []
    for number, image in enumerate(batch.inputs):
        pixels = ((image * spread + mean) * 255).round().clamp(0, 255).byte()
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels[0].numpy()).save(path)
        prediction = harness.predict((record, network), path)
        assert 0.1 < prediction.probability <= 1
        found.append(int(prediction.label))
    assert found == expected


def test_a_text_is_continued_by_a_character_of_its_vocabulary(runs: dict[str, RunFolder]) -> None:
    folder = runs["gpt"]
    record = read_record(folder.path)
    prediction = harness.predict(folder.path, "The import statemen")
    assert prediction.label.encode()[0] in record.encoding.vocabulary
    with pytest.raises(UsageError, match="no token"):
        harness.predict(folder.path, "\0")


def test_what_a_network_cannot_take_is_refused(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    for raw, message in (
        (torch.zeros(3, 9, 9), "takes inputs of shape"),
        (tmp_path / "nothing.png", "no picture that can be read"),
        (7, "takes a picture"),
    ):
        with pytest.raises(UsageError, match=message):
            harness.predict(runs["vgg"].path, raw)
    with pytest.raises(UsageError, match=r"there is no network\.json"):
        harness.predict(tmp_path, "text")


def test_masks_are_kept_beside_the_weights(runs: dict[str, RunFolder]) -> None:
    masks = load_file(runs["masked"].path / MASKS)
    weights = dict(harness.load_network(runs["masked"].path).named_parameters())
    assert masks
    assert all(not weights[name][~mask].any() for name, mask in masks.items())
