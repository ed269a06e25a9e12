"""What tests of several rooms share: the command line as a user calls it, and the stand-in NVML."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import prepared
from tests.fakes.stand_in import build

if TYPE_CHECKING:
    from tests.scheduler.cluster import Cluster

# Before torch is imported: a process forked after OpenMP has had two threads waits for the second
# for ever, and tests fork.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A calibration of the developer's machine would change every estimate.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="energy-harness-tests-")

# A shell starts what runs in the background with SIGINT ignored, and children inherit that: then
# nothing that a test starts would hear Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]

Harness = Callable[..., subprocess.CompletedProcess[str]]
Cases = Callable[[int, int], int]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--torture`: the long versions of the tests marked so."""
    parser.addoption("--torture", action="store_true", help="many more cases of the torture tests")


def pytest_configure(config: pytest.Config) -> None:
    """One server of prepared processes for all workers of the tests, which come from it, too."""
    if hasattr(config, "workerinput"):
        prepared.start_others()
    elif getattr(config.option, "numprocesses", None):
        os.environ[prepared.SHARED] = prepared.begin()
        config.option.tx = [f"popen//python={prepared.python()}"] * len(config.option.tx)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker is left with one when the others are done.

    Those that wait for a cluster, then those that run whole studies. Long tests that show what
    others show as well, of one case more, are left out without `--torture`.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    for item in long:
        item.add_marker("torture")
    if long and not config.getoption("--torture"):
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    waiting = {item.path for item in items if "cluster" in getattr(item, "fixturenames", ())}
    whole = (REPOSITORY / "tests", REPOSITORY / "tests" / "docs")
    items.sort(key=lambda item: (item.path not in waiting, item.path.parent not in whole))


def pytest_collection_finish() -> None:
    """From now on the garbage collector does not visit what was imported."""
    gc.collect()
    gc.freeze()


def thinned(every: Iterable[str], kept: Collection[str]) -> list[Any]:
    """Cases to parametrize by: what `kept` leaves out shows no more of a kind, and is long."""
    assert set(kept) <= set(every)
    return [case if case in kept else pytest.param(case, marks=pytest.mark.long) for case in every]


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """How many cases to try: `cases(short, long)`, the long number under `--torture`."""

    def choose(short: int, long: int) -> int:
        return long if request.config.getoption("--torture") else short

    return choose


def _caller(python: str, folder: Path) -> Harness:
    def call(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "harness", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "100", **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return call


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Call `python -m harness` in an empty folder, in a process that has imported everything."""
    return _caller(prepared.python(), tmp_path)


@pytest.fixture
def fresh_harness(tmp_path: Path) -> Harness:
    """Call `python -m harness` in an empty folder and a fresh interpreter."""
    return _caller(sys.executable, tmp_path)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Slurm cluster of one node, which commands of this process find."""
    from tests.scheduler.cluster import Cluster, why_not  # which itself needs this file

    reason = why_not()
    if reason:
        pytest.skip(reason)
    own = Cluster(tmp_path_factory.mktemp("cluster"))
    with pytest.MonkeyPatch.context() as patch:
        try:
            own.start()
            for name, value in own.env.items():
                patch.setenv(name, value)
            yield own
        finally:
            own.stop()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in NVML, compiled."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler ('cc') to build the stand-in NVML with")
    if sys.platform != "linux":
        pytest.skip("the stand-in NVML takes the driver's place through LD_LIBRARY_PATH of Linux")
    return build(tmp_path_factory.mktemp("stand-in"))
