"""Results from anywhere, damaged or meant ill: each is a report, or is refused in a message.

Most cases derive the tables and the summary; every 40th draws the whole report, which takes longer.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import math
import os
import pickle
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli.report import make_report
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.results.merge import merge
from harness.results.table import Tables
from reports.data import study_results
from reports.statistics.summary import summarise
from reports.text.sentence import sentence
from tests.conftest import Cases
from tests.hostile.mutation import TEXTS, mutate, torn, value
from tests.results.test_resume import SPECS, attempt, start

LONGEST_S = 10.0
HANGS_S = 120.0
"""A case that takes longer hangs, however busy the machine is: it is ended, and shows where."""
WHOLE = 40
"""After this many cases the whole report is drawn."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of three runs: dense, early-bird, and one that was packed."""
    study = tmp_path_factory.mktemp("sound") / "study"
    for method in ("dense", "progressive", "early_bird"):
        folder = start(next(spec for spec in SPECS if spec.method == method), study)
        attempt(folder.read_spec(), folder)
        folder.checkpoint.unlink()
    folder.pack_traces()
    return study


@pytest.fixture(autouse=True)
def _guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever unpickles fails; the watch over cases that hang is called off."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "load", refuse)
    yield
    faulthandler.cancel_dump_traceback_later()


def damage(study: Path, chance: random.Random) -> str:
    """Do one thing to a copy of the results; says what."""
    found = sorted(path for path in study.rglob("*") if path.is_file())
    path = chance.choice(found)
    what = chance.random()
    if what < 0.1:
        return _replace(path, chance)
    if what < 0.25:
        path.write_bytes(torn(path.read_bytes(), chance))
        return f"torn {path.name}"
    if path.suffix == ".parquet":
        with contextlib.suppress(pa.ArrowException, OSError, LookupError, ValueError, TypeError):
            _alter_table(path, chance)  # unless it is damaged already
    if path.suffix == ".jsonl":
        return _alter_lines(path, chance)
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):
            path.write_text(json.dumps(mutate(json.loads(path.read_bytes()), chance)))
    return f"altered {path.name}"


def _replace(path: Path, chance: random.Random) -> str:
    path.unlink()
    what = chance.randrange(4)
    if what == 1:
        path.mkdir()
    elif what == 2:
        path.symlink_to("/etc/passwd")
    elif what == 3:
        path.symlink_to(path.name)
    return f"{path.name} became {('nothing', 'a folder', 'a link out', 'a circle')[what]}"


def _alter_lines(path: Path, chance: random.Random) -> str:
    lines = path.read_text(errors="replace").splitlines() or [""]
    for _ in range(chance.choice([1, 1, 1, 5, 50])):
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        if chance.random() < 0.5:
            at = min(at, chance.randrange(12))  # where the header is
        what = chance.randrange(4)
        if what == 0:
            lines[at], lines[other] = lines[other], lines[at]
        elif what == 1:
            lines.insert(at, lines[other])
        elif what == 2 and len(lines) > 1:
            del lines[at]
        else:
            with contextlib.suppress(ValueError):  # damaged already
                lines[at] = json.dumps(mutate(json.loads(lines[at]), chance))
    path.write_text("\n".join(lines) + "\n")
    return f"lines of {path.name}"


def _alter_table(path: Path, chance: random.Random) -> None:
    table = pq.read_table(path)
    what = chance.randrange(3)
    if what == 0:
        table = table.drop_columns([chance.choice(table.column_names)])
    elif what == 1:
        rows = table.to_pylist()
        for _ in range(3):
            row = chance.choice(rows)
            text = row.get("text")
            row["text"] = (
                json.dumps(mutate(json.loads(text), chance)) if text else str(value(chance))
            )
            row["time_ns"] = chance.choice([0, -1, 2**62, row["time_ns"]])
            row["value"] = chance.choice([float("nan"), float("inf"), -1.0, 1e308, None])
            row["sensor"] = chance.choice([None, 0, 7, -1, 32000])
        table = type(table).from_pylist(rows, schema=table.schema)
    else:
        table = table.rename_columns(chance.sample(table.column_names, len(table.column_names)))
    pq.write_table(table, path)


def answer(study: Path, *, whole: bool) -> str:
    """What comes of results."""
    try:
        if whole:
            make_report((str(study),), None)
        else:
            tables = Tables(study)
            tables.save_runs(study)
            sentence(summarise(study_results(tables)))
    except UsageError as error:
        return "refused" if str(error).strip() else "refused without a word"
    return "a report"


@pytest.mark.torture
def test_all_results_are_answered(sound: Path, tmp_path: Path, cases: Cases) -> None:
    chance = random.Random(26)
    count, slowest_s, many = Counter[str](), 0.0, cases(60, 2_000)
    (tmp_path / "beside").mkdir()
    for number in range(many):
        study = tmp_path / "here" / "study"
        shutil.rmtree(study.parent, ignore_errors=True)
        shutil.copytree(sound, study)
        done = [damage(study, chance) for _ in range(chance.randrange(1, 3))]
        began = time.process_time()  # a busy machine makes nothing hang
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        try:
            count[answer(study, whole=number % WHOLE == 0)] += 1
        except BaseException:
            print(f"case {number}: {done}")  # noqa: T201 - to find it again
            raise
        slowest_s = max(slowest_s, time.process_time() - began)
        assert sorted(tmp_path.iterdir()) == [tmp_path / "beside", tmp_path / "here"]
        assert sorted(study.parent.iterdir()) == [study]
    assert set(count) == {"a report", "refused"}
    print(f"{many} result folders: {dict(count)}; the slowest took {slowest_s:.1f} s")  # noqa: T201
    assert slowest_s < LONGEST_S or many < 1000


@pytest.mark.torture
def test_whatever_is_merged_is_answered_and_what_is_refused_leaves_nothing(
    sound: Path, tmp_path: Path, cases: Cases
) -> None:
    chance, count, many = random.Random(27), Counter[str](), cases(30, 1_000)
    beside = tmp_path / "beside"
    shutil.copytree(sound, beside)
    for arm in (beside / "runs").iterdir():
        arm.rename(arm.with_name(f"other-{arm.name}"))
    for _ in range(many):
        study, out = tmp_path / "here", tmp_path / "out"
        for each in (study, out):
            shutil.rmtree(each, ignore_errors=True)
        shutil.copytree(sound, study)
        done = damage(study, chance)
        # Half of them where a merge looks closely.
        study_file = StudyFolder(study).settings
        if chance.random() < 0.5 and study_file.is_file():
            with contextlib.suppress(ValueError):
                study_file.write_text(
                    json.dumps(mutate(json.loads(study_file.read_bytes()), chance))
                )
        answered = _merged(study, beside, out)
        count[answered] += 1
        left = [beside, study, *([out] if answered == "merged" else [])]
        assert sorted(tmp_path.iterdir()) == left, done
    assert set(count) == {"merged", "refused"}
    print(f"{many} merges: {dict(count)}")  # noqa: T201


def _merged(study: Path, beside: Path, out: Path) -> str:
    try:
        merge([StudyFolder(study), StudyFolder(beside)], out)
    except UsageError as error:
        return "refused" if str(error).strip() else "refused without a word"
    return "merged"


@pytest.mark.parametrize("place", ["report", "report/figures", "report/index.html"])
def test_a_report_is_not_written_through_a_link(place: str, sound: Path, tmp_path: Path) -> None:
    study, target = tmp_path / "study", tmp_path / "target"
    shutil.copytree(sound, study)
    target.mkdir()
    (study / place).parent.mkdir(exist_ok=True)
    (study / place).symlink_to(target)
    with pytest.raises(UsageError, match="is a link"):
        make_report((str(study),), None)
    assert list(target.iterdir()) == []


def test_runs_are_not_read_through_a_link(sound: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(sound, study)
    [run, *_] = StudyFolder(study).runs()
    run.path.rename(tmp_path / "elsewhere")
    run.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a link to outside"):
        Tables(study)


def test_damage_to_one_run_hides_no_other(sound: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(sound, study)
    [packed] = study.rglob("*.parquet")
    packed.write_bytes(b"PAR1 nonsense")
    (study / "runs/dense/seed-0/journal.jsonl").write_text("[]\n{}\nnonsense\n")
    runs = Tables(study).runs.set_index("method")
    assert runs.loc["early_bird", "status"] == runs.loc["progressive", "status"] == "done"
    assert runs.loc["dense", "status"] == "planned"
    assert "3 damaged lines left out" in runs.loc["dense", "energy_note"]
    assert math.isnan(runs.loc["early_bird", "energy_j"])
    assert "trace-1: damaged, left out" in runs.loc["early_bird", "energy_note"]
    assert runs.loc["progressive", "energy_j"] > 0


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("owned",)


def test_a_checkpoint_that_is_a_program_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from harness.training.checkpoint import Checkpoint

    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    plain, saved = io.BytesIO(), io.BytesIO()
    pickle.dump(Bomb(), plain, protocol=2)
    torch.save({"state": Bomb()}, saved)
    for content in (plain.getvalue(), saved.getvalue()):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(pickle.UnpicklingError):
            Checkpoint.load(tmp_path / "checkpoint.pt", torch.device("cpu"))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_any_kind_does_no_harm(text: str, sound: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(sound, study)
    for run in StudyFolder(study).runs():
        spec = json.loads(run.spec.read_text())
        run.spec.write_text(json.dumps(spec | {"arm": text, "variant": text}))
        lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
        lines[0] |= {"host": text, "device_name": text, "wall": text}
        lines.insert(1, {"event": "record", "time_ns": lines[0]["time_ns"], "facts": {text: text}})
        run.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tables = Tables(study)
    tables.save_runs(study)
    assert set(tables.runs["status"]) == {"done"}


class Active(HTMLParser):
    """What of a page could do something: scripts, handlers, addresses of scripts, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "form", "base", "meta"):
            self.found[tag] += 1
        for name, output in attributes:
            if name.startswith("on") or (output or "").strip().lower().startswith("javascript:"):
                self.found[name] += 1


def test_a_page_of_hostile_texts_does_nothing_that_another_does_not(
    sound: Path, tmp_path: Path
) -> None:
    pages = []
    for name, texts in (("plain", ["plain"] * len(TEXTS)), ("hostile", TEXTS)):
        study = tmp_path / name
        shutil.copytree(sound, study)
        for run in StudyFolder(study).runs():
            lines = [json.loads(line) for line in run.journal.read_text().splitlines()]
            facts = {f"fact {n} {text}": text for n, text in enumerate(texts)}
            lines[0] |= {"host": " ".join(texts[-12:]), "device_name": texts[16]}
            lines.insert(1, {"event": "record", "time_ns": lines[0]["time_ns"], "facts": facts})
            if run.path.parent.name.startswith("progressive"):
                lines[-1] |= {"status": "failed", "reason": " ".join(texts[-16:])}
            run.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
        make_report((str(study),), None)
        page = Active()
        page.feed((study / "report" / "index.html").read_text())
        pages.append(page.found)
    plain, hostile = pages
    assert plain["script"] > 0
    assert hostile == plain
