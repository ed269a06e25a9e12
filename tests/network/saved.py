"""Networks as runs leave them, made without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from harness.network.save import save_network
from harness.settings.run_spec import RunSpec
from harness.settings.settings import EnergySettings, Training, WorkloadChoice
from tests.network.test_load import known, trained


def saved(folder: Path, model: str, **changes: Any) -> nn.Module:
    """Save a shrunk network to a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    network, converts = trained(model)
    save_network(folder, network, {}, known(model, converts=converts) | changes)
    return network


def parameters_of(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def spec_of(data: str, model: str) -> RunSpec:
    """A run of the dense method."""
    return RunSpec(
        study="small",
        arm="dense",
        method="dense",
        hyperparameters={},
        seed=0,
        workload=WorkloadChoice(data=data, model=model),
        training=Training(epochs=1),
        energy=EnergySettings(idle_s=0),
    )
