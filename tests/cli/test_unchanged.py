"""Runs of other code or other data never join those that are there without a word."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harness.results.fingerprint import changed_code, fingerprint_of
from harness.results.folder import RunFolder, StudyFolder
from harness.results.journal import Journal, is_event
from harness.results.table import Tables
from harness.runner.code_fingerprint import code_of
from harness.settings.catalogue import DATA, Catalogue, resolve
from harness.settings.settings import WorkloadChoice
from harness.workloads import data_fingerprint
from harness.workloads.data import digits
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.images import Images
from reports.data import study_results
from reports.text.warnings import warnings
from tests.scheduler.started import called

PINNED = "b688e87be9c58993"
PLUGIN = '''
from harness import Method, Train

class Mine(Method):
    """Trains."""

    def phases(self, budget):
        yield Train("train", epochs=1)
'''
QUICK = """
name = "mine"
seeds = [0]
[workload]
data = "digits"
model = "vgg_small"
[training]
epochs = 1
batch_size = 512
[energy]
meters = ["estimate"]
period_s = 0.1
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(QUICK)


def started(*words: str) -> Any:
    return called("run", "mine.toml", "--no-report", "--out", "out", *words)


def pictures(root: Path, count: int, bright: int = 0) -> None:
    """Two classes, distinguished by their brightness."""
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for number, name in enumerate("ab"):
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for each in range(count):
                pixels = rng.integers(0, 100, (8, 8, 3)) + 100 * number + bright
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{each}.png")


def seeds_there() -> list[str]:
    return sorted(path.parent.name for path in Path("out").glob("runs/*/*/journal.jsonl"))


def test_a_plugin_that_was_edited_between_two_seeds() -> None:
    """The first command of the fault: exit 2, the file named, nothing trained or written."""
    plugin = Path("my_method.py")
    plugin.write_text(PLUGIN)
    words = ("mine", "--plugin", "my_method.py")
    assert started(*words).returncode == 0
    saved = Path("out/study.json").read_bytes()
    plugin.write_text(PLUGIN.replace("epochs=1", "epochs=2"))
    refused = started(*words, "--seed", "0", "--seed", "1")
    assert refused.returncode == 2
    assert "my_method.py has changed" in refused.stderr
    assert "--out" in refused.stderr
    assert seeds_there() == ["seed-0"]
    assert Path("out/study.json").read_bytes() == saved

    plugin.write_text(f"# Another comment.\n\n{PLUGIN}")
    went_on = started(*words, "--seed", "0", "--seed", "1")
    assert went_on.returncode == 0, went_on.stderr
    assert seeds_there() == ["seed-0", "seed-1"]


def test_another_root_and_pictures_that_were_added() -> None:
    """The second and third command of the fault."""
    pictures(Path("first"), 12)
    pictures(Path("second"), 12, bright=30)
    words = ("dense", "--set", "workload.data=folder", "--set", "workload.validation_share=0.25")
    first = (*words, "--set", "workload.root=first")
    assert started(*first).returncode == 0
    more = ("--seed", "0", "--seed", "1")
    refused = started(*words, "--set", "workload.root=second", *more)
    assert refused.returncode == 2
    assert "other names, sizes or contents" in refused.stderr

    shutil.copytree("first", "moved")
    shutil.copy("first/train/a/0.png", "first/train/a/more.png")
    refused = started(*first, *more)
    assert refused.returncode == 2
    assert "24 train and 24 test samples then, 25 train and 24 test samples now" in refused.stderr
    assert seeds_there() == ["seed-0"]
    moved = started(*words, "--set", "workload.root=moved", *more)
    assert moved.returncode == 0, moved.stderr


def test_an_interrupted_run_is_not_resumed_with_other_code() -> None:
    plugin = Path("my_method.py")
    plugin.write_text(PLUGIN)
    words = ("mine", "--plugin", "my_method.py")
    assert started(*words).returncode == 0
    journal = Path("out/runs/mine/seed-0/journal.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if '"result"' in line)
    journal.write_text("".join(lines[:end]))
    plugin.write_text(PLUGIN.replace("epochs=1", "epochs=2"))
    refused = started(*words)
    assert refused.returncode == 2
    assert "my_method.py has changed" in refused.stderr
    assert journal.read_text() == "".join(lines[:end])


def test_a_worker_does_not_resume_a_run_with_other_code_or_data() -> None:
    """As in a queue, where much time may pass before a job resumes; undone, it is resumed."""
    pictures(Path("pictures"), 12)
    plugin = Path("my_method.py")
    plugin.write_text(PLUGIN)
    words = ("mine", "--plugin", "my_method.py", "--set", "workload.data=folder")
    assert started(*words, "--set", "workload.root=pictures").returncode == 0
    [run] = StudyFolder(Path("out")).runs()
    lines = run.journal.read_text().splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if '"result"' in line)
    run.journal.write_text("".join(lines[:end]))

    def resumed() -> str:
        called("worker", str(run.spec))
        return f"{Journal(run).status}: {Journal(run).reason}"

    plugin.write_text(PLUGIN.replace("Train(", "Train(horizon=2, name="))
    assert resumed() == (
        "interrupted: the run was begun with other code of mine: my_method.py has changed since; "
        "undo the change to resume it"
    )
    plugin.write_text(PLUGIN)
    kept = Path("pictures/train/a/0.png")
    content = kept.read_bytes()
    kept.write_bytes(Path("pictures/train/a/1.png").read_bytes())
    assert resumed().startswith("interrupted: the run was begun with other data (other names, ")
    kept.write_bytes(content)
    assert resumed() == "done: None"
    assert len(Journal(run).attempts) == 4


def test_a_variant_does_not_hide_that_the_data_have_changed() -> None:
    pictures(Path("pictures"), 12)
    with Path("mine.toml").open("a") as file:
        file.write("[variants.kept]\nworkload = {input = 'resident'}\n")
        file.write("[variants.read]\nworkload = {input = 'loader', workers = 0}\n")
    words = ("dense", "--set", "workload.data=folder", "--set", "workload.root=pictures")
    assert started(*words).returncode == 0
    [read] = [run for run in StudyFolder(Path("out")).runs() if "read" in str(run.path)]
    shutil.rmtree(read.path)
    shutil.copy("pictures/train/a/0.png", "pictures/train/a/more.png")
    refused = started(*words)
    assert refused.returncode == 2
    assert "25 train and 24 test samples now" in refused.stderr
    assert not read.path.exists()


def test_data_of_other_packages_are_loaded_once_and_not_for_a_finished_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert started("dense", "--seed", "0").returncode == 0
    loaded: list[WorkloadChoice] = []

    def load(choice: WorkloadChoice) -> Any:
        loaded.append(choice)
        return digits.load(choice)

    def ended(*_: Any) -> list[Any]:
        return []

    engine = SimpleNamespace(may_be_left=False, run=ended)
    monkeypatch.setattr("harness.cli.run._engine", lambda _asked: engine)
    monkeypatch.setattr(Catalogue, "is_own", lambda catalogue, _name: catalogue is not DATA)
    monkeypatch.setattr(
        Catalogue,
        "load",
        lambda catalogue, name: load if catalogue is DATA else resolve(catalogue[name]),
    )
    [run] = StudyFolder(Path("out")).runs()
    rewritten(
        run, data=identity_of(run.read_spec().workload, digits.load(run.read_spec().workload))
    )
    assert started("dense", "--seed", "0").returncode == 0
    assert not loaded
    assert started("dense", "--seed", "0", "--seed", "1").returncode == 0
    assert len(loaded) == 1


def rewritten(run: RunFolder, **changes: Any) -> None:
    """Give a recorded run another fingerprint."""
    lines = []
    for line in run.journal.read_text().splitlines():
        event = json.loads(line)
        lines.append(json.dumps(event | (changes if event["event"] == "fingerprint" else {})))
    run.journal.write_text("\n".join(lines) + "\n")


def test_a_mixed_folder_is_split_and_warned_of() -> None:
    """Such as one that two machines wrote to, or that was copied together."""
    assert started("dense", "--seed", "0", "--seed", "1").returncode == 0
    tables = Tables(Path("out"))
    assert tables.runs["arm"].tolist() == ["dense", "dense"]
    assert tables.runs["code_hash"].nunique() == tables.runs["data_hash"].nunique() == 1
    assert not {"code", "data"} & {each.kind for each in warnings(study_results(tables))}

    run = StudyFolder(Path("out")).runs()[1]
    before = fingerprint_of(run)
    assert before is not None
    rewritten(run, code={"methods.dense": ["0", "0"]})
    mixed = Tables(Path("out"))
    assert mixed.runs["arm"].nunique() == 2
    assert all(arm.startswith("dense code=") for arm in mixed.runs["arm"])
    assert {each.kind for each in warnings(study_results(mixed))} >= {"code"}

    rewritten(run, code=before.code, data={"digest": "other"})
    mixed = Tables(Path("out"))
    assert all(arm.startswith("dense data=") for arm in mixed.runs["arm"])
    assert {each.kind for each in warnings(study_results(mixed))} >= {"data"}

    lines = run.journal.read_text().splitlines(keepends=True)
    run.journal.write_text("".join(line for line in lines if '"fingerprint"' not in line))
    old = Tables(Path("out"))
    assert old.runs["arm"].tolist() == ["dense", "dense"]
    assert "" in set(old.runs["code_hash"])


def test_the_user_s_own_imports_count_and_libraries_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("import numpy\nfrom .deeper import x\n")
    (package / "deeper.py").write_text("x = 1\n")
    (package / "method.py").write_text("import torch\n\ndef f():\n    from . import helper\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    choice = WorkloadChoice(data="digits", model="vgg_small")
    before = code_of("own_package.method", choice)
    assert {*before} == {
        "own_package",
        "own_package.method",
        "own_package.helper",
        "own_package.deeper",
    }
    (package / "deeper.py").write_text("x = 2\n")
    assert changed_code(before, code_of("own_package.method", choice)) == ["own_package.deeper"]
    assert {*code_of("methods.early_bird", choice)} >= {"methods.early_bird"}
    assert not any(name.startswith("harness") for name in code_of("methods.early_bird", choice))
    assert {*code_of("numpy", choice)} == {"package numpy"}


def test_looking_for_source_executes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "never_imported"
    (package / "deeper").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('executed')\n")
    (package / "deeper" / "__init__.py").write_text("raise SystemExit('executed')\n")
    (package / "deeper" / "rule.py").write_text("x = 1\n")
    (tmp_path / "a_method.py").write_text(
        "def f():\n    from never_imported.deeper.rule import x\n    import never_imported.none\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    choice = WorkloadChoice(data="digits", model="vgg_small")
    assert {*code_of("a_method", choice)} == {
        "a_method",
        "never_imported.deeper.rule",
    }


def test_docstrings_are_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "with_texts.py"
    choice = WorkloadChoice(data="digits", model="vgg_small")

    def changed(before: str, after: str) -> bool:
        found = []
        for text in (before, after):
            file.write_text(text)
            found.append(code_of("with_texts", choice))
        return bool(changed_code(*found))

    plain = "class A:\n    x: int = 1\n    def f(self):\n        return 'x'\n"
    documented = (
        '"""A module."""\nclass A:\n    """A class."""\n    x: int = 1\n    """A field."""\n'
        '    def f(self):\n        """A function."""\n        return \'x\'\n'
    )
    assert not changed(plain, documented)
    assert changed(documented, documented.replace("return 'x'", "return 'y'"))


def test_where_files_are_and_when_they_changed_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(root: str) -> dict[str, Any]:
        return identity_of(WorkloadChoice(data="folder", model="vgg_small", root=root))

    pictures(tmp_path / "one", 4)
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    (tmp_path / "two" / "train" / "a" / "notes.txt").write_text("no picture")
    assert found("one") == found("two")
    assert (found("one")["train"], found("one")["test"]) == (8, 8)
    (tmp_path / "two" / "train" / "a" / "0.png").rename(tmp_path / "two" / "train" / "b" / "9.png")
    assert found("one")["digest"] != found("two")["digest"], "another label"
    monkeypatch.setattr(data_fingerprint, "MAX_SIZES", 5)
    monkeypatch.setattr(data_fingerprint, "SAMPLE", 3)
    assert "sizes of 3" in found("one")["by"], "what was looked at is recorded"


def test_what_a_digest_of_tensors_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every label, and every pixel that is looked at; a digest is the same tomorrow."""
    pixels = torch.arange(12 * 2 * 2, dtype=torch.uint8).reshape(12, 1, 2, 2)
    labels = torch.arange(12) % 3
    base = Images(pixels[:8], labels[:8], pixels[8:], labels[8:], 3)
    choice = WorkloadChoice(data="digits", model="vgg_small")

    def digest(**changes: Any) -> str:
        return str(identity_of(choice, replace(base, **changes))["digest"])

    def with_one(of: torch.Tensor, place: int) -> torch.Tensor:
        changed = of.clone()
        changed[place] += 1
        return changed

    assert digest() == PINNED
    others = {
        digest(train_labels=with_one(base.train_labels, 7)),
        digest(test_labels=with_one(base.test_labels, 0)),
        digest(train_images=with_one(base.train_images, 7)),
        digest(test_images=with_one(base.test_images, 3)),
        digest(train_images=base.train_images.float() / 255),
        digest(train_images=base.train_images.flip(0)),
    }
    assert len(others) == 6
    assert digest() not in others
    monkeypatch.setattr(data_fingerprint, "SAMPLE", 4)
    assert digest() == digest(train_images=with_one(base.train_images, 7)), "not looked at"
    assert digest() != digest(train_images=with_one(base.train_images, 6))
    assert digest() != digest(train_labels=with_one(base.train_labels, 7))


def test_what_a_digest_of_files_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last block of a long file, those between, and its size."""
    monkeypatch.setattr(data_fingerprint, "BLOCK_BYTES", 4)
    place = tmp_path / "cifar-10-batches-py"
    place.mkdir()
    expected = data_fingerprint.EXPECTED["cifar10"]
    for name in (*expected.train, *expected.test):
        (place / name).write_bytes(bytes(100))
    choice = WorkloadChoice(data="cifar10", model="vgg_small", root=str(tmp_path))
    first = identity_of(choice)
    assert first["by"] == "names of 6 files, sizes of 6, blocks of 6"
    seen = {first["digest"]}
    for position in (0, 13, 99):
        content = bytearray(100)
        content[position] = 1
        (place / "data_batch_3").write_bytes(content)
        seen.add(identity_of(choice)["digest"])
    (place / "data_batch_3").write_bytes(bytes(101))
    seen.add(identity_of(choice)["digest"])
    assert len(seen) == 5


@pytest.mark.parametrize("code", [5, {"a": 5}, {"a": [5]}, None])
def test_a_fingerprint_from_anywhere_is_no_event_unless_it_is_sound(code: Any) -> None:
    event = {"event": "fingerprint", "time_ns": 1, "code": code, "data": {}}
    assert not is_event(event)
    assert is_event(event | {"code": {"a": ["1", "2"]}})
