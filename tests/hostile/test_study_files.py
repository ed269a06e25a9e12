"""Study files from anywhere: each is a study, or is refused with a message. Nothing else."""

from __future__ import annotations

import faulthandler
import random
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.method.dry_run import planned_epochs
from harness.method.phases import Budget
from harness.results.folder import StudyFolder
from harness.study.choose import built_in_studies, choose_study
from harness.study.expand import expand
from tests.conftest import Cases
from tests.hostile.mutation import mutate, toml, torn

LONGEST_S = 10.0
HANGS_S = 120.0
"""A case that takes longer hangs, however busy the machine is: it is ended, and shows where."""


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    """The watch over cases that hang is called off."""
    yield
    faulthandler.cancel_dump_traceback_later()


def files_from(chance: random.Random) -> Iterator[bytes]:
    """One wrong study file after the other, and some that are right."""
    texts = [
        files("harness.study").joinpath("studies", f"{n}.toml").read_text()
        for n in built_in_studies()
    ]
    while True:
        text = chance.choice(texts)
        if chance.random() < 0.3:
            yield torn(text.encode(), chance)
            continue
        tree = tomllib.loads(text)
        for _ in range(chance.randrange(1, 4)):
            tree = mutate(tree, chance)
        yield toml(tree).encode(errors="surrogatepass")


def answer(study: Path, out: Path) -> str:
    """What comes of a study file, as far as without training."""
    try:
        chosen, registry = choose_study((str(study),), (), (), (), ())
        specs = expand(chosen, registry)
    except UsageError as error:
        return "refused" if str(error).strip() else "no message"
    for spec in specs[:50]:
        folder = StudyFolder(out).run(spec).path
        assert folder.resolve().is_relative_to(out.resolve()), spec.arm
        assert len(folder.parent.name) < 200
    method = registry.get(specs[-1].method)(**specs[-1].hyperparameters)
    planned_epochs(method, Budget(chosen.training.epochs))
    return "a study"


@pytest.mark.torture
def test_every_study_file_is_answered(tmp_path: Path, cases: Cases) -> None:
    chance = random.Random(6)
    study, count, slowest_s = tmp_path / "study.toml", Counter[str](), 0.0
    many = cases(300, 10_000)
    for content, number in zip(files_from(chance), range(many), strict=False):
        study.write_bytes(content)
        began = time.process_time()  # a busy machine makes nothing hang
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        try:
            count[answer(study, tmp_path / "out")] += 1
        except BaseException:
            print(f"case {number}: {content[:3000]!r}")  # noqa: T201 - to find it again
            raise
        slowest_s = max(slowest_s, time.process_time() - began)
    assert set(count) == {"a study", "refused"}
    print(f"{many} study files: {dict(count)}; the slowest took {slowest_s:.1f} s")  # noqa: T201
    assert slowest_s < LONGEST_S or many < 1000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = " + b"[" * 100_000, "not TOML"),
        (b"a" + b".a" * 10_000 + b" = 1", "a: unknown key"),
        (b"seeds = [" + b"9" * 5000 + b"]", "not TOML"),
        (b"\xff\xfe", "not TOML"),
        (b"name = " + b'"' + b"x" * 20_000_000 + b'"', "longer than 1,000,000"),
    ],
)
def test_files_that_are_out_of_all_bounds_are_reported(
    content: bytes, words: str, tmp_path: Path
) -> None:
    study = tmp_path / "study.toml"
    study.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        choose_study((str(study),), (), (), (), ())


def test_a_sweep_that_nobody_can_run_is_reported_at_once(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    many = list(range(1, 1000))
    study.write_text(
        'name = "x"\nseeds = [0]\nworkload = { data = "digits", model = "vgg_small" }\n'
        f"methods.early_bird = {{ min_channels = {many}, round_to = {many}, window = {many} }}\n"
    )
    chosen, registry = choose_study((str(study),), (), (), (), ())
    with pytest.raises(UsageError, match="more than 100,000 runs"):
        expand(chosen, registry)


@pytest.mark.parametrize("name", ["..", "../x", "/x", "", "a/b", "a\x00b", ".hidden", "x" * 65])
def test_a_name_cannot_lead_out_of_its_folder(name: str, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    plain = {
        "seeds": [0],
        "workload": {"data": "digits", "model": "vgg_small"},
        "methods": {"dense": {}},
    }
    study.write_text(toml({"name": name} | plain))
    with pytest.raises(UsageError, match="name: String should match pattern"):
        choose_study((str(study),), (), (), (), ())
