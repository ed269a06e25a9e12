"""An exported file computes in its own runtime what the trained network did, and is as small."""

from __future__ import annotations

import json
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness.network.comparison import compare
from harness.network.formats.base import FORMATS, MAX_BATCH, Place, find_format
from harness.network.record import RECORD, WEIGHTS
from harness.network.samples import Samples
from harness.network.save import save_network
from harness.settings.catalogue import resolve_model
from harness.workloads.task import Classification
from harness.workloads.workload import open_workload
from tests.network.saved import parameters_of, saved, spec_of
from tests.network.test_load import MODELS, OUTPUTS, inputs_of, known, trained
from tests.scheduler.started import Ended, called

PAIRS = [
    ("vgg_small", "onnx"),
    ("vgg_small", "safetensors"),
    ("vit_tiny", "torch-export"),
    ("gpt_tiny", "torch-export"),
]
"""Every format, and the families whose graphs differ most; test_every_method.py has the product."""
OVERHEAD_BYTES = 300_000
"""Of a graph beside its weights."""


def exported(run: Path, to: str, *words: str) -> Ended:
    return called("export-network", str(run), "--to", to, *words)


def report_of(run: Path, to: str, *words: str) -> dict[str, Any]:
    ended = exported(run, to, "--json", *words)
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    return report


@pytest.mark.parametrize(("model", "to"), PAIRS)
def test_a_network_of_a_family_predicts_the_same(model: str, to: str, tmp_path: Path) -> None:
    network = saved(tmp_path, model)
    report = report_of(tmp_path, to)
    assert report["equal_predictions"] >= 0.999
    assert report["largest_difference"] <= 1e-4
    assert report["parameters"] == parameters_of(network)
    weights = 4 * report["parameters"]
    assert weights <= report["bytes"] == Path(report["file"]).stat().st_size
    assert report["bytes"] < weights + OVERHEAD_BYTES
    assert report["samples"].startswith("256 seeded inputs")
    assert (tmp_path / "export" / RECORD).read_text() == (tmp_path / RECORD).read_text()
    infer = FORMATS[to].open_file(Path(report["file"]), Place())
    for count in (1, 70):  # any number of samples goes in
        inputs = inputs_of(model).repeat(35, *[1] * len(MODELS[model]))[:count]
        with torch.no_grad():
            torch.testing.assert_close(infer(inputs), network(inputs), rtol=1e-4, atol=1e-4)
    assert not any(b"site-packages" in part or b".py" in part for part in parts_of(report["file"]))


def parts_of(file: str) -> Iterator[bytes]:
    """What is in a file, which may be an archive."""
    if not zipfile.is_zipfile(file):
        yield Path(file).read_bytes()
        return
    with zipfile.ZipFile(file) as archive:
        yield from map(archive.read, archive.namelist())


def test_a_file_is_smaller_as_its_network_is(tmp_path: Path) -> None:
    small, _ = trained("vgg_small")
    dense = resolve_model("vgg_small")(MODELS["vgg_small"][0], OUTPUTS).eval()
    share = parameters_of(small) / parameters_of(dense)
    for to, error in (("safetensors", 0.05), ("torch-export", 0.25)):
        sizes = [
            FORMATS[to].write(each, inputs_of("vgg_small"), tmp_path / name).stat().st_size
            for each, name in ((small, "small"), (dense, "dense"))
        ]
        assert sizes[0] / sizes[1] == pytest.approx(share, rel=error)


def test_on_the_test_set_the_score_is_compared(tmp_path: Path) -> None:
    network = resolve_model("vgg_small")(1, 10).eval()
    image = {"kind": "image", "shape": (1, 8, 8)}
    own = {"inputs": 1, "outputs": 10, "encoding": image}
    save_network(tmp_path, network, {}, known("vgg_small", converts=False) | own)
    spec = spec_of("digits", "vgg_small")
    (tmp_path / "spec.json").write_text(spec.model_dump_json())
    report = report_of(tmp_path, "safetensors", "--samples", "150")
    workload = open_workload(spec.workload, spec.training, torch.device("cpu"))
    inputs, targets = next(iter(workload.test.in_order()))
    with torch.no_grad():
        score = float((network(inputs[:150]).argmax(1) == targets[:150]).float().mean())
    assert report["score"] == report["trained_score"] == pytest.approx(score)
    assert report["samples"] == f"150 of {len(workload.test)} samples"
    # Where the data are gone, it says so.
    gone = spec.model_dump(mode="json")
    gone["workload"] |= {"data": "cifar10", "root": str(tmp_path / "nowhere")}
    (tmp_path / "spec.json").write_text(json.dumps(gone))
    report = report_of(tmp_path, "safetensors")
    assert report["score"] is None
    assert "no cifar10 in" in report["samples"]


def test_a_masked_network_is_not_called_smaller(tmp_path: Path) -> None:
    saved(tmp_path, "vgg_small", density=0.25)
    output = exported(tmp_path, "safetensors").stdout
    assert "hold 75.0% of the weights at zero" in output
    assert "it is not smaller" in output
    saved(tmp_path, "vgg_small")
    assert "zero" not in exported(tmp_path, "safetensors").stdout


class _Unlike(nn.Module):
    """Two classes, by the sign of the first value."""

    def __init__(self, wrong_from: int, by: float = 0.0) -> None:
        super().__init__()
        self.wrong_from, self.by = wrong_from, by

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = torch.stack([inputs[:, 0], -inputs[:, 0]], dim=1) + self.by
        return torch.where(inputs[:, 1:2] >= self.wrong_from, outputs.flip(1), outputs)


@pytest.mark.parametrize(
    ("wrong_from", "by", "share", "equal"),
    [(100, 0.0, 1.0, True), (90, 0.0, 0.9, False), (100, 1e-3, 1.0, False)],
)
def test_differences_and_scores_are_what_they_are(
    wrong_from: int, by: float, share: float, equal: bool
) -> None:
    inputs = torch.stack([torch.ones(100), torch.arange(100.0)], dim=1)
    samples = Samples(inputs, torch.zeros(100, dtype=torch.int64), Classification(), of=100)
    found = compare(_Unlike(wrong_from, by), _Unlike(100), samples, places=False)
    assert found.equal_predictions == pytest.approx(share)
    assert found.score == pytest.approx(share)
    assert found.trained_score == 1.0
    assert found.largest_difference == pytest.approx(2.0 if share < 1 else by, rel=1e-3)
    assert found.is_equal is equal


def test_outputs_that_are_no_numbers_are_a_difference() -> None:
    samples = Samples(torch.zeros(4, 2), why="drawn")
    found = compare(lambda x: x + torch.nan, lambda x: x, samples, places=False)
    assert found.largest_difference == float("inf")
    assert not found.is_equal


def test_a_file_that_computes_something_else_ends_with_exit_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.network.formats import safetensors_file

    saved(tmp_path, "vgg_small")
    real = safetensors_file.open_file
    monkeypatch.setattr(
        safetensors_file, "open_file", lambda *of: lambda inputs: -real(*of)(inputs)
    )
    ended = exported(tmp_path, "safetensors")
    assert ended.returncode == 3
    assert "does not compute what the trained network does" in ended.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "onxx"], "--to onxx: 'onxx' is unknown; did you mean 'onnx'?"),
        (["--to", "safetensors", "--out", "."], "the run's own folder; choose another"),
        (["--to", "safetensors", "--out", "taken"], "cannot write to taken"),
    ],
)
def test_wrong_words_are_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, "vgg_small")
    (tmp_path / "taken").touch()
    monkeypatch.chdir(tmp_path)
    ended = called("export-network", ".", *words)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_a_folder_without_a_network_or_with_another_one_is_refused(tmp_path: Path) -> None:
    ended = exported(tmp_path, "safetensors")
    assert ended.returncode == 2
    assert "there is no network.json" in ended.stderr
    saved(tmp_path, "vgg_small")
    (tmp_path / WEIGHTS).write_bytes(b"\x80\x04pickled")
    ended = exported(tmp_path, "torch-export")
    assert ended.returncode == 2
    assert "not the file that the run wrote" in ended.stderr
    assert not (tmp_path / "export").exists()


def test_a_network_that_no_graph_holds_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ByValue(nn.Module):
        """Decides by what its inputs are."""

        def __init__(self, *_: int) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 7)

        def forward(self, inputs: Tensor) -> Tensor:
            values = inputs.mean(dim=(1, 2))
            return self.layer(values if float(values.sum()) > 0 else -values)

    monkeypatch.setattr("harness.network.load.resolve_model", lambda _: ByValue)
    monkeypatch.setattr("tests.network.saved.trained", lambda _: (ByValue().eval(), False))
    saved(tmp_path, "vgg_small")
    ended = exported(tmp_path, "torch-export")
    assert ended.returncode == 2
    assert "this network cannot be exported to torch-export: " in ended.stderr
    assert exported(tmp_path, "safetensors").returncode == 0


@pytest.mark.parametrize("to", ["onnx", "executorch"])
def test_a_missing_package_is_named_with_its_extra(
    to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.utils.packages.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf"pip install 'energy-harness\[{to}\]'"):
        find_format(to, f"--to {to}")


def test_no_runtime_but_pytorch_is_asked_for_another_device(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime runs on the CPU only here"):
        FORMATS["onnx"].open_file(tmp_path / "network.onnx", Place(device="cuda"))


def test_executorch_gets_a_graph_for_a_bounded_batch_and_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stand-in of its modules, which run torch's graph; the real ones: with --torture."""
    pools: list[int] = []
    graphs: list[torch.export.ExportedProgram] = []

    class Lowered:
        """What the passes make of a graph."""

        def __init__(self, graph: torch.export.ExportedProgram, **_: Any) -> None:
            graphs.append(graph)

        def to_executorch(self) -> Any:
            return types.SimpleNamespace(buffer=b"program")

    class Runtime:
        """The one runtime, which loads programs."""

        @staticmethod
        def get() -> type[Runtime]:
            return Runtime

        @staticmethod
        def load_program(path: Path) -> Any:
            assert path.read_bytes() == b"program"
            module = graphs[0].module()
            method = types.SimpleNamespace(execute=lambda inputs: [module(*inputs)])
            return types.SimpleNamespace(load_method={"forward": method}.__getitem__)

    xnnpack = "executorch.backends.xnnpack.partition.xnnpack_partitioner"
    _stand_in(monkeypatch, xnnpack, XnnpackPartitioner=object)
    _stand_in(monkeypatch, "executorch.exir", to_edge_transform_and_lower=Lowered)
    _stand_in(monkeypatch, "executorch.runtime", Runtime=Runtime)
    bindings = types.ModuleType("portable_lib")
    bindings._unsafe_reset_threadpool = pools.append
    _stand_in(monkeypatch, "executorch.extension.pybindings", portable_lib=bindings)
    network = saved(tmp_path, "vgg_small")
    inputs = torch.randn(2, 3, 8, 8)
    path = FORMATS["executorch"].write(network, inputs, tmp_path)
    [limits] = graphs[0].range_constraints.values()
    assert (int(limits.lower), int(limits.upper)) == (1, MAX_BATCH)
    infer = FORMATS["executorch"].open_file(path, Place(threads=2))
    with torch.no_grad():
        torch.testing.assert_close(infer(inputs), network(inputs))
    assert pools == [2]


def _stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    """Put a module in the place of a real one, and of the packages that it is in."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(
            sys.modules, path := ".".join(parts[:end]), module := types.ModuleType(path)
        )
    vars(module).update(content)
