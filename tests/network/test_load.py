"""A network that was saved comes back with the same answers, and nothing else is taken for one."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.errors import UsageError
from harness.network.load import load_network
from harness.network.record import MASKS, RECORD, WEIGHTS, read_record
from harness.network.save import save_network
from harness.pruning.attention import Attention
from harness.pruning.batch import Batch
from harness.pruning.channels import missing_gates, shrink
from harness.pruning.gates import fold_gates
from harness.pruning.groups import scaled_norms
from harness.pruning.questions import uniform_channels
from harness.settings.catalogue import resolve_model

MODELS = {
    "vgg_small": (3, 8, 8),
    "resnet20": (3, 16, 16),
    "mobilenet_v2": (3, 16, 16),
    "resnet18_gn": (3, 8, 8),
    "vit_tiny": (3, 16, 16),
    "gpt_tiny": (12,),
}
OUTPUTS = 7


def inputs_of(model: str) -> Tensor:
    shape = MODELS[model]
    if len(shape) == 1:
        return torch.randint(OUTPUTS, (2, *shape))
    return torch.randn(2, *shape)


def trained(model: str) -> tuple[nn.Module, bool]:
    """A shrunk network with weights of its own, and whether its attention was converted."""
    return copy.deepcopy(_trained(model))


@cache
def _trained(model: str) -> tuple[nn.Module, bool]:
    torch.manual_seed(0)
    network, samples = resolve_model(model)(MODELS[model][0], OUTPUTS), inputs_of(model)
    gates = None
    if not scaled_norms(network):
        gates = missing_gates(network, samples)
        gates.insert(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    batch = Batch(samples, torch.zeros(2, dtype=torch.int64))
    shrink(network, uniform_channels(0.5)(network, batch), samples)
    return fold_gates(network).eval(), bool(gates and gates.converts)


def known(model: str, *, converts: bool) -> dict[str, Any]:
    shape = MODELS[model]
    encoding = {"kind": "text", "shape": shape, "vocabulary": range(97, 97 + OUTPUTS)}
    if len(shape) == 3:
        encoding = {"kind": "image", "shape": shape, "mean": [0.5] * 3, "spread": [0.25] * 3}
    return {
        "model": model,
        "inputs": shape[0],
        "outputs": OUTPUTS,
        "converts": converts,
        "encoding": encoding,
        "task": "classification",
        "metric": {"name": "accuracy"},
        "test_score": 0.5,
        "parameters": 1,
        "macs": 1,
        "density": 1.0,
    }


@pytest.mark.parametrize("model", MODELS)
def test_it_answers_as_it_did_and_is_as_small(model: str, tmp_path: Path) -> None:
    network, converts = trained(model)
    save_network(tmp_path, network, {}, known(model, converts=converts))
    loaded = load_network(tmp_path)
    assert not loaded.training
    samples = inputs_of(model)
    with torch.no_grad():
        assert torch.equal(loaded(samples), network(samples))
    shapes = {name: each.shape for name, each in network.state_dict().items()}
    assert {name: each.shape for name, each in loaded.state_dict().items()} == shapes
    full = resolve_model(model)(MODELS[model][0], OUTPUTS)
    assert sum(p.numel() for p in loaded.parameters()) < sum(p.numel() for p in full.parameters())
    assert repr(loaded) == repr(network)  # every layer knows how wide it is
    assert not (tmp_path / MASKS).exists()


def test_masks_lie_beside_the_weights(tmp_path: Path) -> None:
    network, _ = trained("vgg_small")
    masks = {"0.weight": (network[0].weight > 0).float()}
    save_network(tmp_path, network, masks, known("vgg_small", converts=False))
    assert torch.equal(load_file(tmp_path / MASKS)["0.weight"], masks["0.weight"].bool())


def test_weights_that_two_layers_share_are_written_and_shared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tied(nn.Module):
        """Embeddings that are the last layer's weights, too."""

        def __init__(self, _context: int, words: int) -> None:
            super().__init__()
            self.words = nn.Embedding(words, 4)
            self.head = nn.Linear(4, words, bias=False)
            self.head.weight = self.words.weight

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.words(ids))

    monkeypatch.setattr("harness.network.load.resolve_model", lambda _: Tied)
    network = Tied(12, OUTPUTS).eval()
    save_network(tmp_path, network, {}, known("gpt_tiny", converts=False))
    loaded: Any = load_network(tmp_path)
    assert loaded.head.weight is loaded.words.weight
    assert torch.equal(loaded.head.weight, network.head.weight)


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    """Change the tensors, and let the record agree with the file."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    record = json.loads((folder / RECORD).read_text())
    record["weights_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / RECORD).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.weight"), "has no 0.weight"),
        (lambda t: t.update({"../../../etc/passwd": torch.zeros(1)}), "has an unknown .*passwd"),
        (lambda t: t.update({"0.weight": torch.zeros(64, 3, 3, 3)}), "of another network"),
        (lambda t: t.update({"0.weight": torch.zeros(16, 3, 3)}), "of another network"),
        (lambda t: t.update({"0.weight": t["0.weight"].double()}), "of another network"),
        (lambda t: t.update({"0.weight": t["0.weight"][:5].clone()}), "do not fit each other"),
    ],
)
def test_weights_of_another_network_are_refused(
    change: Callable[[dict[str, Tensor]], None], message: str, tmp_path: Path
) -> None:
    network, _ = trained("vgg_small")
    save_network(tmp_path, network, {}, known("vgg_small", converts=False))
    rewrite(tmp_path, change)
    with pytest.raises(UsageError, match=message):
        load_network(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / RECORD).unlink(), "there is no network.json"),
        (lambda f: (f / RECORD).write_text("{"), "it is not JSON"),
        (lambda f: (f / RECORD).write_text("[" * 100_000), "it is not JSON"),
        (lambda f: (f / RECORD).write_text('{"format": 2}'), "newer version"),
        (lambda f: (f / RECORD).write_text('{"format": 1}'), "damaged: model"),
        (lambda f: (f / WEIGHTS).unlink(), "No such file"),
        (lambda f: (f / WEIGHTS).write_bytes(b"pickled"), "has been changed"),
    ],
)
def test_a_damaged_folder_is_refused_in_a_sentence(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    network, _ = trained("vgg_small")
    save_network(tmp_path, network, {}, known("vgg_small", converts=False))
    damage(tmp_path)
    with pytest.raises(UsageError, match=message):
        load_network(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": 10**6}, "no layer has 1,000,000 outputs"),
        ({"model": "vgg_smal"}, "did you mean 'vgg_small'"),
        ({"model": "../../vgg_small"}, "is unknown"),
        ({"model": "os:system"}, "is unknown"),
        ({"model": "resnet20"}, "it is of another network"),
        ({"run": {"study": "x" * 2**25}}, "larger than any record"),
    ],
)
def test_a_record_of_another_network_is_refused_before_it_is_built(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    network, _ = trained("vgg_small")
    save_network(tmp_path, network, {}, known("vgg_small", converts=False))
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(record | change))
    with pytest.raises(UsageError, match=message):
        load_network(tmp_path)


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_header_larger_than_the_file_is_refused(header: bytes, tmp_path: Path) -> None:
    network, _ = trained("vgg_small")
    save_network(tmp_path, network, {}, known("vgg_small", converts=False))
    (tmp_path / WEIGHTS).write_bytes(header)
    record = json.loads((tmp_path / RECORD).read_text())
    record["weights_sha256"] = hashlib.sha256(header).hexdigest()
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(UsageError, match="no file of weights that can be read"):
        load_network(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": 0},
        {"outputs": 10**9},
        {"inputs": 10**5},
        {"encoding": {"kind": "image", "shape": [10**6]}},
        {"encoding": {"kind": "image", "shape": [1] * 9}},
        {"encoding": {"kind": "image", "shape": [3, 8, 8], "spread": [0.0]}},
    ],
)
def test_a_record_beyond_all_bounds_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    network, _ = trained("vgg_small")
    save_network(tmp_path, network, {}, known("vgg_small", converts=False))
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(record | change))
    with pytest.raises(UsageError, match="damaged"):
        read_record(tmp_path)


def test_attention_that_lost_heads_is_the_harness_own_and_else_torchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.gated import make

    monkeypatch.setattr(
        "harness.network.load.resolve_model", lambda _: lambda *_: make("ViT")[0].float()
    )
    base = known("vgg_small", converts=True) | {"encoding": {"kind": "image", "shape": (3, 16, 16)}}
    for share, expected in ((0.5, 2), (1.0, 0)):
        network, samples = make("ViT")
        network, samples = network.float(), samples.float()
        missing_gates(network, samples).insert(network)
        batch = Batch(samples, torch.zeros(2, dtype=torch.int64))
        shrink(network, uniform_channels(share)(network, batch), samples)
        network = fold_gates(network).eval()
        save_network(tmp_path, copy.deepcopy(network), {}, base)
        loaded = load_network(tmp_path)
        assert sum(isinstance(each, Attention) for each in loaded.modules()) == expected
        with torch.no_grad():
            torch.testing.assert_close(loaded(samples), network(samples))
