"""Training starts from a file's weights; one of another network is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from harness import Train, bn_channel_mask
from harness.cli.foreign import check_foreign
from harness.cli.progress import _misfits
from harness.errors import RunError, UsageError
from harness.pruning.groups import scaled_norms
from harness.results.fingerprint import Fingerprint, difference
from harness.runner.attempt import RunContext, attempt
from harness.runner.device_check import why_not
from harness.settings.run_spec import RunSpec
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from harness.study.registry import Registry
from harness.training.checkpoint import Checkpoint
from harness.training.loop import train_epoch
from harness.training.state import TrainingState
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.files import check_data
from harness.workloads.weights_file import WeightsFile
from harness.workloads.workload import Workload, open_workload

CPU = torch.device("cpu")
RECIPE = Training(epochs=1, batch_size=256)
Weights = dict[str, Tensor]


def choice_of(**changes: Any) -> WorkloadChoice:
    return WorkloadChoice(**{"data": "digits", "model": "vgg_small", **changes})


def opened(**changes: Any) -> Workload:
    return open_workload(choice_of(**changes), RECIPE, CPU)


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Of a network that training has moved on, so that nothing draws the same."""
    network = opened().build_network(7)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(1)
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture
def file(weights: Weights, tmp_path: Path) -> Path:
    torch.save(weights, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def spec_of(choice: WorkloadChoice, **changes: Any) -> RunSpec:
    return RunSpec(
        study="fine",
        arm="dense",
        method="dense",
        hyperparameters={},
        seed=0,
        workload=choice,
        training=RECIPE,
        energy=EnergySettings(),
        **changes,
    )


def prefixed(prefix: str) -> Callable[[Weights], Any]:
    return lambda weights: {f"{prefix}{name}": value for name, value in weights.items()}


LAYOUTS: dict[str, Callable[[Weights], Any]] = {
    "plain": lambda weights: weights,
    "of several processes": prefixed("module."),
    "compiled": prefixed("_orig_mod.module."),
    "a training script's": lambda weights: {"epoch": 3, "state_dict": weights},
    "of a checkpoint": lambda weights: {"number": 1, "state": {"network": weights}},
    "in half precision": lambda weights: {name: value.half() for name, value in weights.items()},
    "without counts": lambda weights: {
        name: value for name, value in weights.items() if "tracked" not in name
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_state_dict_gives_every_weight(layout: str, weights: Weights, tmp_path: Path) -> None:
    torch.save(LAYOUTS[layout](weights), tmp_path / "weights.pt")
    network = opened(weights=str(tmp_path / "weights.pt")).build_network(0)
    for name, value in network.state_dict().items():
        if layout != "without counts" or "tracked" not in name:
            torch.testing.assert_close(value, weights[name], atol=2e-3, rtol=1e-3, msg=name)


def test_safetensors_give_every_weight_bit_by_bit(weights: Weights, tmp_path: Path) -> None:
    save_file(weights, tmp_path / "weights.safetensors")
    workload = opened(weights=str(tmp_path / "weights.safetensors"))
    for name, value in workload.build_network(0).state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_a_head_of_another_width_is_drawn_and_named(weights: Weights, tmp_path: Path) -> None:
    [head] = {name.rpartition(".")[0] for name, value in weights.items() if len(value.shape) == 2}
    for layout in ("wider", "absent"):
        given = dict(weights)
        for name in (f"{head}.weight", f"{head}.bias"):
            given[name] = torch.cat([given[name]] * 3)
            if layout == "absent":
                del given[name]
        given["auxiliary.weight"] = torch.ones(2)
        torch.save(given, tmp_path / "weights.pt")
        workload, drawn = opened(weights=str(tmp_path / "weights.pt")), opened()
        ours, theirs = (each.build_network(3).state_dict() for each in (workload, drawn))
        for name, value in ours.items():
            origin = theirs if name.startswith(f"{head}.") else weights
            assert torch.equal(value, origin[name]), name
        assert workload.weights is not None
        assert workload.weights.fitted is not None
        assert workload.weights.fitted.drawn == (f"{head}.weight", f"{head}.bias")
        assert workload.weights.fitted.unused == ("auxiliary.weight",)


def without(weights: Weights, name: str) -> Weights:
    return {each: value for each, value in weights.items() if each != name}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda w: without(w, "0.weight"), "of another network: it lacks 0.weight$"),
        (lambda w: w | {"0.weight": w["0.weight"][:5]}, r"0\.weight: 5 × 1 × 3 × 3 instead of 32"),
        (lambda w: {"encoder.weight": w["0.weight"]}, "it has encoder.weight; the network 0.wei"),
        (lambda _: {"epoch": 3}, "holds no weights by name"),
        (lambda _: {"state_dict": SimpleNamespace()}, "neither safetensors nor a state dict"),
    ],
)
def test_a_file_of_another_network_is_refused_before_any_run(
    content: Callable[[Weights], Any], why: str, weights: Weights, tmp_path: Path
) -> None:
    torch.save(content(weights), tmp_path / "weights.pt")
    choice = choice_of(weights=str(tmp_path / "weights.pt"))
    reason = why_not(spec_of(choice), CPU)
    assert reason is not None
    with pytest.raises(RunError, match=why):
        raise RunError(reason)
    assert str(tmp_path / "weights.pt") in reason
    with pytest.raises(UsageError, match=why):  # as `plan` and `run` look first
        check_foreign([spec_of(choice)], Registry.discover())


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        check_data(choice_of(weights=str(tmp_path / "absent.pt")))


def test_a_vocabulary_of_another_size_is_no_head(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8, bias=False))
    tied = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8, bias=False))
    tied[1].weight = tied[0].weight
    torch.save({"0.weight": torch.ones(9, 4), "1.weight": torch.ones(9, 4)}, tmp_path / "weights")
    for each in (network, tied):
        with pytest.raises(RunError, match=r"0\.weight.*: 9 × 4 instead of 8 × 4"):
            WeightsFile(tmp_path / "weights").fit(each, outputs=8)


def test_a_rewind_returns_to_the_file_and_a_reinitialisation_draws(
    file: Path, weights: Weights, tmp_path: Path
) -> None:
    state = TrainingState(opened(weights=str(file)), RECIPE, 0, lambda name: tmp_path / name)
    state.take_snapshot("start")
    train_epoch(state, Train("train", epochs=1), RECIPE, seed=0)
    batch = state.workload.train.sample(1, 0)
    state.shrink(bn_channel_mask(0.5, 8, 8)(state.network, batch))
    state.rewind("start")
    for name, value in state.network.state_dict().items():
        assert set(value.flatten().tolist()) <= set(weights[name].flatten().tolist()), name
    state.reinitialise(draw=1)
    assert torch.all(state.network[1].weight == 0.5), "drawn as init says"


def test_a_builders_weights_stay_as_they_are() -> None:
    ours = opened(init="builder")
    network = ours.build_network(3)
    assert torch.all(network[1].weight == 1), "BatchNorm's own"
    assert not torch.equal(network[0].weight, ours.build_network(4)[0].weight)
    torch.manual_seed(3)
    assert torch.equal(network[0].weight, ours._builder(1, 10)[0].weight)


def test_a_builder_draws_again_in_todays_structure(tmp_path: Path) -> None:
    workload = opened(init="builder")
    state = TrainingState(workload, RECIPE, 0, lambda name: tmp_path / name)
    batch = workload.train.sample(1, 0)
    for _ in range(2):
        for layer in scaled_norms(state.network).values():
            nn.init.uniform_(layer.weight)
        state.shrink(bn_channel_mask(0.3)(state.network, batch))
    shapes = [each.shape for each in state.network.parameters()]
    state.reinitialise(draw=1)
    assert [each.shape for each in state.network.parameters()] == shapes
    assert shapes[0][0] < 32
    everything = workload.build_network(0)[0].weight
    assert not set(state.network[0].weight.flatten().tolist()) <= set(everything.flatten().tolist())
    train_epoch(state, Train("train", epochs=1), RECIPE, seed=0)


@pytest.mark.parametrize("origin", [{"init": "builder"}, {"weights": "weights.pt"}])
def test_scales_are_not_given_twice(origin: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="gamma_init is given, but first scales are"):
        choice_of(gamma_init=0.25, **origin)
    assert choice_of(**choice_of(**origin).model_dump()) == choice_of(**origin)


def test_another_file_is_another_fingerprint(file: Path, weights: Weights) -> None:
    def fingerprint(choice: WorkloadChoice) -> Fingerprint:
        return Fingerprint({}, identity_of(choice))

    drawn, before = fingerprint(choice_of()), fingerprint(choice_of(weights=str(file)))
    assert difference(before, fingerprint(choice_of(weights=str(file))), "dense") is None
    assert "with other first weights (drawn then, file" in str(difference(drawn, before, "dense"))
    torch.save(without(weights, "0.weight"), file)
    now = fingerprint(choice_of(weights=str(file)))
    assert before.data_hash != now.data_hash
    assert "with other first weights (file" in str(difference(before, now, "dense"))


def test_a_run_starts_from_the_file_and_records_what_was_drawn(
    file: Path, weights: Weights, tmp_path: Path
) -> None:
    from harness.results.folder import StudyFolder
    from harness.results.journal import Journal

    [head] = {name.rpartition(".")[0] for name, value in weights.items() if len(value.shape) == 2}
    torch.save(without(weights, f"{head}.bias"), file)
    spec = spec_of(choice_of(weights=str(file)))
    folder = StudyFolder(tmp_path / "study").run(spec)
    folder.path.mkdir(parents=True)
    folder.spec.write_text(spec.model_dump_json())
    attempt(RunContext(spec, folder, CPU), lambda: None)
    journal = Journal(folder)
    assert journal.status == "done", journal.reason
    [event] = journal.events("weights")
    assert (event["file"], event["drawn"], event["unused"]) == ("weights.pt", [f"{head}.bias"], 0)
    assert list(_misfits(event)) == [f"{head}.bias drawn: weights.pt has none of this width"]
    assert "weights" in journal.events("fingerprint")[0]["data"]
    saved = Checkpoint.load(folder.checkpoint, CPU)
    assert saved is not None
    moved = saved.state["network"]["0.weight"] - weights["0.weight"]
    assert 0 < float(moved.abs().max()) < 0.5, "a few steps from where it began"


def test_the_gates_of_a_runs_checkpoint_are_taken_over(tmp_path: Path) -> None:
    gated = {"model": "vit_tiny", "data": "digits"}
    network = opened(**gated).build_network(0)
    gates = {name for name, _ in network.named_parameters() if name.endswith("gate.weight")}
    assert gates
    with torch.no_grad():
        for value in network.parameters():
            value.add_(1)
    torch.save({"state": {"network": network.state_dict()}}, tmp_path / "checkpoint.pt")
    workload = opened(**gated, weights=str(tmp_path / "checkpoint.pt"))
    for name, value in workload.build_network(1).state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert workload.weights is not None
    assert workload.weights.fitted is not None
    assert workload.weights.fitted.unused == ()
    ungated = opened(**gated, weights=str(tmp_path / "checkpoint.pt"), gates="none")
    with pytest.raises(RunError, match=r"checkpoint\.pt has gates \(.*set workload\.gates"):
        ungated.build_network(1)
