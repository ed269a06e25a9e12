"""The code blocks of the documentation, and how each is tried."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.study.study import Study
from tests import prepared
from tests.conftest import REPOSITORY
from tests.workloads.files import cifar, pictures

DOCS = REPOSITORY / "docs"
GENERATED = {"commands.md", "study-file.md", "results.md"}
BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
PACKAGES = sysconfig.get_path("purelib")
LINKED = (
    f"python3 -m venv --without-pip device && ln -s {PACKAGES}/numpy {PACKAGES}/numpy.libs "
    f"{PACKAGES}/onnxruntime device/lib/python3.*/site-packages/"
)
SMALL = {
    "how-to/calibrate.md": [("--calibrate", "--calibrate --level-s 1")],
    "how-to/compare-in-ci.md": [("training.epochs=4", "training.epochs=1")],
    "how-to/own-data-and-model.md": [("folder.toml", "folder.toml --set training.epochs=1")],
    "how-to/small-device.md": [
        ("seeds = [0, 1]", "seeds = [0]"),
        ("epochs = 8", "epochs = 2"),
        # The last run alone ends with a report.
        ("python -m harness run", "python -m harness run --no-report"),
        ("END\npython -m harness run --no-report", "END\npython -m harness run"),
        ("--seconds 30", "--seconds 0.1 --batch 1"),
        # A fresh environment gets these two from here, as nothing is to be downloaded.
        (
            "python3 -m venv device && device/bin/pip install -q onnxruntime numpy",
            LINKED,
        ),
    ],
    "index.md": [("python -m harness", "python -m harness dense --seed 0 --set training.epochs=1")],
    "tutorials/add-a-method.md": [("training.epochs=8", "training.epochs=2")],
    "tutorials/class.md": [("run class.toml", "run class.toml --set training.epochs=2")],
    "tutorials/first-gpu-study.md": [
        # A pilot trains a small network as it does a large one.
        ("data --pilot", "data --pilot --set workload.model=vgg_small"),
        # Where nothing measures, that is what it must say.
        ("--max-energy 2kWh", "--max-energy 2kWh || test $? -eq 5"),
    ],
    "how-to/wait-for-green-electricity.md": [("training.epochs=2", "training.epochs=1")],
    "tutorials/laptop.md": [
        ("training.epochs=8", "training.epochs=2"),
        ("--seed 2 ", "--seed 2 --no-report "),
    ],
}
"""By page, what is made smaller, or can only be refused where there is no GPU."""
REPORTED = {"index.md", "tutorials/laptop.md", "how-to/small-device.md"}
"""Pages whose runs end with a report; elsewhere it would be the same one again."""
UNREPORTED = re.compile(r"^python -m harness (run |(?=dense|gpu-acceptance))", re.MULTILINE)
ANYWHERE = [
    # What is to be installed is here already.
    (re.compile(r"^pip install .*$", re.MULTILINE), "true"),
    # Rights of this machine stay as they are; that the paths are RAPL's is all to be seen here.
    (
        re.compile(r"^sudo chmod a\+r (.*)$", re.MULTILINE),
        r"echo '\1' | grep -q powercap/intel-rapl",
    ),
    # A quarter of the digits shows as well what is to be seen.
    (re.compile(r'^data = "digits"$', re.MULTILINE), r"\g<0>\ntrain_samples = 360"),
]
DIGITS = (
    *("how-to/compare-in-ci.md", "how-to/several-gpus.md", "how-to/trackers.md", "how-to/watch.md"),
    *("how-to/wait-for-green-electricity.md", "index.md"),
    *("tutorials/add-a-method.md", "tutorials/laptop.md"),
)
"""Pages that train on them by a study that comes with the harness."""
FEWER = (re.compile(r"--set training.epochs=\d"), r"\g<0> --set workload.train_samples=360")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str | None
    text: str


def blocks(page: str) -> Iterator[Block]:
    text = (DOCS / page).read_text("utf-8")
    for found in BLOCK.finditer(text):
        yield Block(found["language"], found["title"], found["text"])


def pages(*folders: str) -> list[str]:
    """Pages of these folders that have blocks; "." for those at the top."""
    found = (page for folder in folders for page in sorted((DOCS / folder).glob("*.md")))
    return [
        str(page.relative_to(DOCS))
        for page in found
        if page.name not in GENERATED and "```" in page.read_text("utf-8")
    ]


def try_page(page: str, folder: Path) -> None:
    """Do in an empty folder what a page says, block by block."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    # What a command itself starts finds the real one.
    python.write_text(f'#!/bin/sh\nPATH=${{PATH#*:}} exec {prepared.python()} "$@"\n')
    python.chmod(0o755)
    if "workload.root=data" in (DOCS / page).read_text("utf-8"):
        cifar(folder / "data", 10)
        cifar(folder / "data", 100)
    if page == "how-to/own-data-and-model.md":
        pictures(folder / "images", each=8, size=(40, 36))
    for block in blocks(page):
        _try(page, block, folder)


def _try(page: str, block: Block, folder: Path) -> None:
    if block.title:
        file = folder / block.title
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_shortened(page, block.text), "utf-8")
    match block.language, block.title:
        case "sh", _:
            _run(["bash", "-euo", "pipefail", "-c", _shortened(page, block.text)], folder)
        case "python", None:
            _run(["python", "-c", block.text], folder)
        case "toml", None:
            _check_study(block.text)
        case "toml", "pyproject.toml":
            _install(folder)
        case "yaml", _:
            _check_workflow(page, block.text)


def _shortened(page: str, text: str) -> str:
    for pattern, instead in ANYWHERE:
        text = pattern.sub(instead, text)
    if page not in REPORTED:
        text = UNREPORTED.sub(r"\g<0>--no-report ", text)
    for long, short in SMALL.get(page, []):
        text = text.replace(long, short)
    return FEWER[0].sub(FEWER[1], text) if page in DIGITS else text


def _run(command: list[str], folder: Path) -> None:
    path = os.pathsep.join(
        [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    site = f"{folder / 'site'}{os.pathsep}{REPOSITORY}"
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": site, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{command[-1]}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"


def _check_study(text: str) -> None:
    """A piece of a study file is one of a whole study."""
    whole = {
        "name": "docs",
        "seeds": [0],
        "workload": {"data": "digits", "model": "vgg_small"},
        "methods": {"dense": {}},
    }
    Study(**{**whole, **tomllib.loads(text)})


def _check_workflow(page: str, text: str) -> None:
    """Each step of a workflow that calls the harness was tried above it."""
    steps = re.findall(r"run: (python .*)", text)
    tried = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    assert steps
    assert all(step in tried for step in steps)


def _install(folder: Path) -> None:
    """As `pip install` would, without the network: metadata with the entry points."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / "site" / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    lines = [
        line
        for group, entries in groups
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module in folder.glob("*.py"):
        shutil.copy(module, folder / "site")
