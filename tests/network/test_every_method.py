"""What every method leaves of every family of networks loads, leaves in every format, and agrees.

The product takes hours, most of it for ExecuTorch, at half a minute a network:
`pytest -m torture --torture -s tests/network`. What methods leave is of three kinds (dense, shrunk,
masked), which test_export.py covers in pairs with families and formats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from harness.network.formats.base import FORMATS
from harness.network.load import load_network
from harness.network.record import MASKS, RECORD, read_record
from tests.conftest import REPOSITORY
from tests.network.saved import parameters_of
from tests.scheduler.started import called

FAMILIES = (
    "vgg_small",
    "resnet20",
    "mobilenet_v2",
    "preresnet101",
    "resnet18_gn",
    "vit_tiny",
    "gpt_tiny",
)
SETTINGS: dict[str, dict[str, Any]] = {
    "dense_short": {"share": 0.5},
    "early_bird": {"window": 1},
    "lottery_ticket": {"rounds": 1},
    "progressive": {"rounds": 1},
    "prune_train": {"interval": 1, "threshold": 0.03},
    "random_ticket": {"window": 1},
    "shuffled_ticket": {"rounds": 1},
    "small_dense": {"share": 0.5},
}
"""What makes methods remove something in two epochs, of those whose defaults would not."""
TRANSFORMERS = {"vit_tiny", "gpt_tiny"}
NOT_FOR = {
    "progressive_resizing": TRANSFORMERS,
    "layer_dropping": set(FAMILIES) - TRANSFORMERS,
    "random_ltd": set(FAMILIES) - TRANSFORMERS,
}
"""Networks that a method cannot train: with inputs of one size, without blocks."""

Trained = tuple[str, dict[str, Path]]


def study_of(model: str) -> str:
    """Every method that can train the model, with one seed and as little work as shows it."""
    methods = [name for name in built_in() if model not in NOT_FOR.get(name, ())]
    tables = "".join(
        f"[methods.{name}]\n"
        + "".join(f"{key} = {value}\n" for key, value in SETTINGS.get(name, {}).items())
        for name in methods
    )
    return (
        f'name = "product"\nseeds = [0]\n[workload]\ntrain_samples = 96\nmodel = "{model}"\n'
        f'data = "{"python_docs" if model == "gpt_tiny" else "digits"}"\n'
        '[training]\nepochs = 2\nbatch_size = 48\noptimizer = "adamw"\nlearning_rate = 0.003\n'
        f"[energy]\nidle_s = 0\n{tables}"
    )


def built_in() -> list[str]:
    """The methods that come with the harness."""
    return sorted(path.stem for path in (REPOSITORY / "methods").glob("[!_]*.py"))


@pytest.fixture(scope="module", params=FAMILIES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trained]:
    """The family, and the run of every method of its study."""
    if not request.config.getoption("--torture"):
        pytest.skip("minutes a family: with --torture")
    folder = tmp_path_factory.mktemp("product")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("product.toml").write_text(study_of(request.param))
        ended = called("run", "product.toml", "--no-report")
        assert ended.returncode == 0, ended.stderr[-2000:]
        yield request.param, {read_record(run).run["method"]: run for run in networks_in(folder)}


@pytest.mark.torture
@pytest.mark.parametrize("to", FORMATS)
def test_what_every_method_leaves_computes_the_same_in_every_format(
    trained: Trained, to: str
) -> None:
    if to == "executorch" and find_spec("executorch") is None:
        pytest.skip("no executorch, which is no dependency of the tests")
    model, runs = trained
    sizes: dict[str, tuple[int, int, int]] = {}
    kinds = {"masked": 0, "shrunk": 0}
    for arm, run in runs.items():
        record, network = read_record(run), load_network(run)
        assert parameters_of(network) == record.parameters, arm
        kinds["masked"] += (run / MASKS).exists()
        ended = called("export-network", str(run), "--to", to, "--samples", "400", "--json")
        assert ended.returncode == 0, f"{arm}: {ended.stderr}"
        report = json.loads(ended.stdout)
        assert report["equal_predictions"] >= 0.999, arm
        assert report["largest_difference"] <= 1e-4 * max(1.0, report["largest_output"]), arm
        assert report["score"] == pytest.approx(report["trained_score"], abs=1e-3)
        merged = repeated_bytes(network) if to == "onnx" else 0
        sizes[arm] = (report["bytes"], report["parameters"], merged)
        Path(report["file"]).unlink()
    dense_bytes, dense_parameters, _ = sizes["dense"]
    for arm, (size, parameters, merged) in sizes.items():
        gone = 4 * (dense_parameters - parameters)
        kinds["shrunk"] += gone > 0
        slack = max(0.12 * gone, 60_000)
        assert gone - slack <= dense_bytes - size <= gone + merged + slack, arm
    assert kinds["shrunk"] >= 4
    assert kinds["masked"] >= 4
    print(f"{model}: {len(sizes)} methods, exported to {to}, {kinds}")  # noqa: T201 - the record


def repeated_bytes(network: nn.Module) -> int:
    """Of tensors that equal another one, as those of layers that a mask leaves nothing of.

    The exporter to ONNX stores some of these once.
    """
    tensors = [each.numpy().tobytes() for each in network.state_dict().values()]
    return sum(map(len, tensors)) - sum(map(len, set(tensors)))


def networks_in(folder: Path) -> list[Path]:
    """The runs that left a network."""
    return [path.parent for path in sorted(folder.glob(f"results/product/runs/*/*/{RECORD}"))]
