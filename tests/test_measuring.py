"""`harness.measure` in ordinary programs: coroutines, generators, threads, forks, other recorders.

CPU time is known exactly, so the estimate of a machine without sensors shows what was counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.fakes.stand_in import LIBRARY

WATTS = 4.0
SOON_S = 1.0
"""A recorder takes its last readings this long after a block's end; one that waits for a pipe to be
closed takes over 20 s, and is killed without them."""
PRELUDE = f"""
import json, os, sys, time, pathlib
import harness
from harness.energy import measurement
measurement._watts = lambda: ({WATTS}, "a test's")
trace = pathlib.Path("trace.jsonl")
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
def cpu_s(energy):
    return sum(d.joules.energy_j for d in energy.found.devices if d.kind == "cpu") / {WATTS}
def end_after_s(mark_ns):
    lines = map(json.loads, trace.read_text().splitlines())
    return [(each["end"] - mark_ns) * 1e-9 for each in lines if "end" in each][-1]
def recorder_pid():
    return json.loads(trace.read_text().splitlines()[0])["recorder_pid"]
def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
"""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of a short name: sockets of worker processes are in it, whose paths are limited."""
    with tempfile.TemporaryDirectory(prefix="eh-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def environment(tmp_path: Path, scratch: Path) -> dict[str, str]:
    """A machine without any sensor, even if this one has some."""
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / LIBRARY).touch()  # found first, and no library
    return {
        **os.environ,
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(REPOSITORY),
        "LD_LIBRARY_PATH": str(tmp_path / "driver"),
        "ENERGY_HARNESS_POWERCAP": str(tmp_path / "driver"),
    }


def output_of(script: str, folder: Path, environment: dict[str, str], *options: str) -> Any:
    """What the last line of a script's output says, as JSON."""
    ended = subprocess.run(
        [sys.executable, *options, "-c", PRELUDE + script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


LATER = """
import asyncio, inspect
energy = harness.measure()

@energy
async def awaited():
    await asyncio.sleep(0)
    burn(0.5)
    return "awaited"

@energy
def iterated():
    burn(0.3)
    answer = yield 1
    try:
        burn(0.3)
        yield answer
    except KeyError as error:
        yield str(error)
    return "returned"

@energy
async def iterated_async():
    burn(0.3)
    answer = yield 1
    burn(0.3)
    yield answer

async def all_async():
    items = iterated_async()
    return [await anext(items), await items.asend(2), [item async for item in items]]

found = [asyncio.run(awaited()), cpu_s(energy)]
items = iterated()
found += [next(items), items.send(2), items.throw(KeyError(3))]
try:
    next(items)
except StopIteration as stop:
    found += [stop.value, cpu_s(energy)]
found += [asyncio.run(all_async()), cpu_s(energy)]
left = iterated()
next(left)
left.close()
found += [cpu_s(energy), inspect.iscoroutinefunction(awaited)]
found += [inspect.isgeneratorfunction(iterated), inspect.isasyncgenfunction(iterated_async)]
print(json.dumps([*found, iterated.__name__]))
"""


def test_a_call_lasts_until_its_coroutine_or_generator_has_ended(tmp_path, environment) -> None:
    found = output_of(LATER, tmp_path, environment)
    awaited, awaited_s, one, two, thrown, returned, iterated_s, items, async_s, left_s = found[:10]
    assert (awaited, one, two, thrown, returned) == ("awaited", 1, 2, "3", "returned")
    assert items == [1, 2, []]
    assert awaited_s == pytest.approx(0.5, abs=0.2)
    assert iterated_s == pytest.approx(0.6, abs=0.2)
    assert async_s == pytest.approx(0.6, abs=0.2)
    assert left_s == pytest.approx(0.3, abs=0.2)
    assert found[10:] == [True, True, True, "iterated"]


THREADS = """
import asyncio, threading
energy = harness.measure()
both = threading.Barrier(2)

@energy
def work(name, first):
    with energy.window(name):
        both.wait(60)
        if not first:
            shorter.join()
            ended.append(list(energy.windows))

ended, failed = [], []
threading.excepthook = lambda args: failed.append(repr(args.exc_value))
shorter = threading.Thread(target=work, args=("shorter", True))
longer = threading.Thread(target=work, args=("longer", False))
shorter.start(); longer.start()
shorter.join(); longer.join()
ended.append(list(energy.windows))

@energy
def recursive(depth):
    with energy.window(str(depth)):
        return recursive(depth - 1) if depth else None

recursive(3)
ended.append(list(energy.windows))

@energy
async def task(name, other):
    with energy.window(name):
        await asyncio.sleep(0)
    return list(energy.windows)

async def tasks():
    await asyncio.gather(task("a", "b"), task("b", "a"))

asyncio.run(tasks())
ended.append(list(energy.windows))
print(json.dumps([ended, failed]))
"""


def test_calls_in_threads_and_tasks_each_have_their_own_windows(tmp_path, environment) -> None:
    ended, failed = output_of(THREADS, tmp_path, environment)
    assert failed == []
    assert ended[:2] == [["shorter"], ["longer"]]
    assert sorted(ended[2]) == ["0", "1", "2", "3"]
    assert len(ended[3]) == 1


TOGETHER = """
import threading
from harness import api
energy = harness.measure(trace=trace)
both, traces, refused = threading.Barrier(2), [], []

class Slow(api.MeasuredBlock):
    def __init__(self, settings, trace):
        traces.append(trace and str(trace))
        super().__init__(settings, trace)
        if len(traces) < 3:
            both.wait(60)

api.MeasuredBlock = Slow

@energy
def work(name):
    with energy.window(name):
        both.wait(60)

threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
threading.Thread(target=work, args=("c",)).start()
work("d")
kept = sorted(traces[:2], key=str), sorted(traces[2:], key=str)

both = threading.Barrier(2)

def enter():
    both.wait(60)
    try:
        energy.__enter__()
    except RuntimeError as error:
        refused.append(str(error))

threads = [threading.Thread(target=enter) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
energy.__exit__()
print(json.dumps([*kept, refused, len(energy._blocks)]))
"""


def test_calls_that_begin_at_once_share_neither_trace_nor_block(tmp_path, environment) -> None:
    first, second, refused, left = output_of(TOGETHER, tmp_path, environment)
    assert first == second == [None, "trace.jsonl"]
    assert len(refused) == 1
    assert "open already" in refused[0]
    assert left == 0


KEPT = """
import gc
from harness.energy.trace import Trace
with harness.measure() as energy:
    burn(0.1)
gc.collect()
print(json.dumps(sum(len(e.readings) for e in gc.get_objects() if isinstance(e, Trace))))
"""


def test_a_block_that_ended_keeps_no_readings_in_memory(tmp_path, environment) -> None:
    assert output_of(KEPT, tmp_path, environment) == 0


FORKED = """
def child():
    process_id = os.fork()
    if process_id == 0:
        time.sleep(300)
        os._exit(0)
    return [process_id]
"""
LOADER = """
import torch
from torch.utils.data import DataLoader, TensorDataset
torch.set_num_threads(1)
def child():
    global loader
    data = TensorDataset(torch.zeros(8, 1))
    loader = DataLoader(data, num_workers=2, persistent_workers=True)
    for batch in loader:
        pass
    return [worker.pid for worker in loader._iterator._workers]
"""
ALIVE = """
import psutil, signal
with harness.measure(trace=trace) as energy:
    children = child()
    burn(0.5)
    mark_ns = time.monotonic_ns()
end_s = end_after_s(mark_ns)
alive = [psutil.Process(each).status() for each in children]
for each in children:
    os.kill(each, signal.SIGKILL)
print(json.dumps([end_s, alive, cpu_s(energy), energy.found.joules.coverage]), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("begins", [FORKED, LOADER], ids=["fork", "loader"])
def test_a_child_that_lives_on_neither_delays_nor_loses_the_end(
    begins, tmp_path, environment
) -> None:
    end_s, alive, cpu_s, coverage = output_of(begins + ALIVE, tmp_path, environment)
    assert 0 < end_s < SOON_S
    assert psutil.STATUS_ZOMBIE not in alive
    assert cpu_s >= 0.45
    assert coverage > 0.5


LEAVES = """
with harness.measure(trace=trace) as energy:
    codes = []
    for leave in (lambda: sys.exit(3), lambda: 1 / 0, lambda: None):
        process_id = os.fork()
        if process_id == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # its traceback
            with energy.window("in the child"):
                leave()
            break
        codes.append(os.waitpid(process_id, 0)[1] >> 8)
    else:
        with energy.window("in the parent"):
            burn(0.5)
        mark_ns = time.monotonic_ns()
if os.getpid() != started:
    assert energy.found is None
    sys.exit(7)
print(json.dumps([codes, list(energy.windows), cpu_s(energy), end_after_s(mark_ns)]))
"""


def test_a_forked_child_that_leaves_the_block_takes_nothing_along(
    tmp_path, environment, scratch
) -> None:
    script = "started = os.getpid()\n" + LEAVES
    codes, windows, cpu_s, end_s = output_of(script, tmp_path, environment, "-W", "error")
    assert 0 < end_s < SOON_S
    assert codes == [3, 1, 7]
    assert windows == ["in the parent"]
    assert cpu_s >= 0.45
    assert list(scratch.iterdir()) == []


NESTED = """
import ctypes, threading
if sys.argv[1:] == ["reaps"]:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, as the first of a container
with harness.measure() as outer:
    for _ in range(3):
        with harness.measure():
            time.sleep(1.2)
threads = [threading.Thread(target=harness.measure()(time.sleep), args=(3,)) for _ in range(3)]
with harness.measure() as beside:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
import psutil
print(json.dumps([cpu_s(outer), cpu_s(beside), len(psutil.Process().children())]))
"""


@pytest.mark.parametrize("how", ["", "reaps"])
def test_measurements_do_not_count_each_others_recorders(how, tmp_path, environment) -> None:
    (tmp_path / "script.py").write_text(PRELUDE + NESTED)
    ended = subprocess.run(
        [sys.executable, "script.py", *filter(None, [how])],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    nested_s, beside_s, children = json.loads(ended.stdout)
    # To start one recorder takes over half a second of CPU time.
    assert nested_s < 0.8
    assert beside_s < 0.8
    assert children <= 1  # the last may end a moment later, and goes with the next


DIES = """
import signal
with harness.measure(trace=trace) as energy:
    os.kill(recorder_pid(), signal.SIGKILL)
    wait_for(lambda: trace.read_text().count("recorder_pid") == 2)
    with energy.window("after"):
        burn(0.5)
after_j = energy.windows["after"].joules.energy_j
print(json.dumps([cpu_s(energy), list(energy.found.flags), after_j]))
"""


def test_a_recorder_that_dies_is_replaced_while_the_block_lasts(tmp_path, environment) -> None:
    cpu_s, flags, after_j = output_of(DIES, tmp_path, environment)
    assert cpu_s >= 0.45
    assert any("restarted (1 x)" in flag for flag in flags)
    assert after_j >= 0.45 * WATTS


MANY_FILES = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
files = [open(os.devnull) for _ in range(1100)]
with harness.measure() as energy:
    with energy.window("part"):
        burn(0.5)
print(json.dumps([files[-1].fileno(), energy.windows["part"].joules.energy_j]))
"""


def test_a_program_may_have_many_files_open(tmp_path, environment) -> None:
    number, part_j = output_of(MANY_FILES, tmp_path, environment)
    assert number >= 1024
    assert part_j >= 0.45 * WATTS


STOPPED = """
import signal
with harness.measure(trace=trace) as energy:
    os.kill(recorder_pid(), signal.SIGSTOP)
    burn(0.5)
    time.sleep(2.5)
    mark_ns = time.monotonic_ns()
end_s = end_after_s(mark_ns)
print(json.dumps([end_s, cpu_s(energy), energy.found.joules.coverage, list(energy.found.flags)]))
"""


def test_a_stopped_recorder_is_seen_in_the_coverage(tmp_path, environment) -> None:
    end_s, cpu_s, coverage, flags = output_of(STOPPED, tmp_path, environment)
    assert 0 < end_s < SOON_S
    assert cpu_s >= 0.45
    assert coverage < 0.5
    assert any("stopped for" in flag for flag in flags)


ORPHANED = """
import ctypes
with harness.measure(trace=trace) as energy:
    child = ctypes.CDLL(None).fork()  # unknown to Python: it keeps its copies of all pipes
    if child:
        print(recorder_pid(), child, flush=True)
    time.sleep(300)
"""


def test_the_recorder_ends_with_its_starter_even_if_another_holds_its_pipe(
    tmp_path, environment
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + ORPHANED],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        recorder, child = map(psutil.Process, map(int, starter.stdout.readline().split()))
        try:
            assert recorder.is_running()
            starter.kill()
            starter.wait()
            assert child.is_running()
            until = time.monotonic() + 30
            while not is_gone(recorder):
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            os.kill(child.pid, signal.SIGKILL)


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
