"""Another package adds one of everything by entry points, and is found by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.settings.catalogue import DATA, Catalogue
from tests.conftest import Harness

PACKAGE = '''
import torch
from harness import Images

def stripes(choice):
    """Upright or lying stripes: two classes, easy to tell apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(256) % 2
    images = torch.zeros(256, 1, 8, 8)
    images[labels == 0, :, ::2, :] = 1
    images[labels == 1, :, :, ::2] = 1
    images += 0.1 * torch.rand(images.shape, generator=generator)
    return Images.held_out(images.clamp(0, 1), labels, test_share=0.25)

def bright(choice):
    """The same with pixels from 0 to 255 as floats."""
    found = stripes(choice)
    parts = found.train_images * 255, found.train_labels, found.test_images * 255
    return Images(*parts, found.test_labels, found.classes)

def tiny(channels, classes):
    """One convolution."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, classes),
    )
'''
METER = """
from harness.energy.sensors.base import Found, Sensor

class Wall:
    sensor = Sensor("wall", "socket", "cpu", "power", "sampled", 0.01)

    def read(self):
        return 60.0

def find(setup):
    return Found([Wall()])
"""
ENGINE = '''
from harness.scheduler.local import LocalEngine

class Theirs(LocalEngine):
    """The local engine, which says that it was chosen."""

    def __init__(self, asked):
        print("chosen with", asked.study.engine.options)
        super().__init__(asked)
'''
EXPORTER = """
def export(tables, folder, out):
    return f"{len(tables.runs)} runs went nowhere"
"""
ENTRIES = """
[energy_harness.data]
stripes = theirs_data:stripes
bright = theirs_data:bright
[energy_harness.models]
tiny = theirs_data:tiny
[energy_harness.meters]
wall = theirs_meter:find
[energy_harness.engines]
theirs = theirs_engine:Theirs
[energy_harness.exporters]
nowhere = theirs_exporter:export
broken = theirs_missing:export
"""
STUDY = """
name = "theirs"
seeds = [0]
[workload]
data = "stripes"
model = "tiny"
[training]
epochs = 2
batch_size = 32
[energy]
meters = ["wall"]
[engine]
kind = "theirs"
options = { where = "here" }
[methods.dense]
"""


def installed(folder: Path, entries: str) -> Path:
    """A folder that looks like site-packages with their package in it."""
    info = folder / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    for name, text in {
        "data": PACKAGE,
        "meter": METER,
        "engine": ENGINE,
        "exporter": EXPORTER,
    }.items():
        (folder / f"theirs_{name}.py").write_text(text)
    return folder


def test_a_study_of_nothing_but_theirs(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    refused = harness("run", "study.toml")
    assert refused.returncode == 2
    for place in ("workload.data: 'stripes'", "workload.model: 'tiny'", "engine.kind: 'theirs'"):
        assert f"{place} is unknown" in refused.stderr
    assert "energy.meters.0: 'wall' is unknown" in refused.stderr

    site = installed(tmp_path / "site", ENTRIES)
    path = {"PYTHONPATH": f"{site}:{Path(__file__).parents[1]}"}
    dark = harness("run", "study.toml", "--set", "workload.data=bright", env=path)
    assert dark.returncode == 2
    assert dark.stderr.startswith("error: workload.data 'bright': train_images: have pixels")
    assert not (tmp_path / "results").exists()

    ran = harness("run", "study.toml", env=path)
    assert ran.returncode == 0, ran.stderr
    assert "chosen with {'where': 'here'}" in ran.stdout
    run = tmp_path / "results" / "theirs" / "runs" / "dense" / "seed-0"
    document = json.loads(harness("show", str(run), "--json").stdout)["run"]
    assert document["test_score"] > 0.9
    assert document["energy_source"] == "sampled"
    assert document["energy_j"] == pytest.approx(60 * document["duration_s"], rel=0.02)

    sent = harness("export", "results/theirs", "--to", "nowhere", env=path)
    assert "1 runs went nowhere" in sent.stdout
    lost = harness("export", "results/theirs", "--to", "broken", env=path)
    assert lost.returncode == 2
    assert "entry point energy_harness.exporters:broken does not load" in lost.stderr


def test_a_meter_that_does_not_load_hides_no_other(harness: Harness, tmp_path: Path) -> None:
    site = installed(tmp_path / "site", "[energy_harness.meters]\nlost = theirs_nowhere:find\n")
    path = {"PYTHONPATH": f"{site}:{Path(__file__).parents[1]}"}
    ended = harness("doctor", env=path)
    assert "entry point energy_harness.meters:lost does not load" in ended.stdout
    assert "memory: estimated power" in ended.stdout


def test_results_are_read_where_their_package_is_not(harness: Harness, tmp_path: Path) -> None:
    site = installed(tmp_path / "site", ENTRIES)
    (tmp_path / "study.toml").write_text(STUDY)
    path = {"PYTHONPATH": f"{site}:{Path(__file__).parents[1]}"}
    assert harness("run", "study.toml", "--no-report", env=path).returncode == 0
    assert "1 done" in harness("status", "results/theirs").stdout
    reported = harness("report", "results/theirs")
    assert reported.returncode == 0, reported.stderr
    assert (tmp_path / "results" / "theirs" / "report" / "index.html").exists()


def test_a_name_stands_for_one_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = "[energy_harness.data]\ndigits = theirs_data:stripes\n"
    monkeypatch.syspath_prepend(str(installed(tmp_path / "site", entries)))
    catalogue = Catalogue("data", {"digits": DATA["digits"]})
    assert catalogue["digits"] == DATA["digits"], "ours is found without a look at others"
    with pytest.raises(UsageError, match="the name stands for harness"):
        list(catalogue)


def test_what_does_not_load_is_reported_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = "[energy_harness.data]\nlost = theirs_nowhere:load\n"
    monkeypatch.syspath_prepend(str(installed(tmp_path / "site", entries)))
    catalogue = Catalogue("data", {})
    assert list(catalogue) == ["lost"]
    with pytest.raises(UsageError, match=r"energy_harness\.data:lost does not load: No module"):
        catalogue.load("lost")
    with pytest.raises(UsageError, match="'lots' is unknown; did you mean 'lost'"):
        catalogue.load("lots")
