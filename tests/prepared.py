"""Commands in processes that have imported everything already.

A study in a fresh interpreter costs nine seconds of CPU time before it trains: the imports of the
command and those of its fork server, torch among them. Here a server has imported all that once and
forks a process per command, with its own folder, arguments, environment, output and exit code. The
fork server that a command starts is its own, too, but is forked instead of begun from nothing, and
what a command starts as `sys.executable` is prepared as well. Variables that libraries read while
they load come too late: with others of those, a command gets a fresh interpreter.

    python -IS tests/prepared.py ADDRESS WORDS...    does what `python WORDS...` does
    python -m tests.prepared ADDRESS                 the server, until its standard input ends
"""

from __future__ import annotations

# A client starts at once: what takes long is imported by the server alone.
import functools
import json
import os
import select
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

MODULES = (
    *("harness.api", "harness.cli.main", "harness.cli.run", "harness.cli.plan"),
    *("harness.cli.progress", "harness.cli.report", "harness.results.table"),
    *("harness.runner.worker", "reports.html.page", "pandas", "pyarrow.parquet"),
    *("scipy.stats", "matplotlib.figure", "torchvision"),
)
READ_WHILE_LOADING = ("LD_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "PYTHON", "MPL")

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Running:
    """A command on its way, as a `subprocess.Popen` of it would be.

    Args:
        address: Of the server.
        words: What follows `python`.
        folder: Where it works.
        environment: All its variables.
        files: What its files are here, by the number that each has there.
        stdout: What it writes, if that is read here; it then leads a session of its own.

    Attributes:
        pid: Its process; None if it needs a fresh interpreter, and was not begun.
        returncode: Once it has ended and was waited for.
    """

    def __init__(
        self,
        address: str,
        words: list[str],
        folder: str,
        environment: dict[str, str],
        files: dict[int, int] | None = None,
        stdout: TextIO | None = None,
    ) -> None:
        self.returncode: int | None = None
        self.stdout = stdout
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(address)
        files = files or {0: 0, 1: 1, 2: 2}
        socket.send_fds(self._server, [b"."], list(files.values()))
        self._lines = self._server.makefile("rw")
        request = {"words": words, "folder": folder, "environment": environment}
        request |= {"numbers": list(files), "blocked": list(signal.pthread_sigmask(0, ()))}
        _send(self._lines, {**request, "own_session": stdout is not None})
        self.pid: int | None = json.loads(self._lines.readline())

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; `TimeoutError` if it has not in time."""
        if self.returncode is None:
            self._server.settimeout(timeout)
            self.returncode = int(json.loads(self._lines.readline()))
            self._lines.close()
            self._server.close()
        return self.returncode

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """The rest of what it writes, once it has ended and all its descendants have closed it."""
        self.wait(timeout)
        assert self.stdout is not None
        with self.stdout:
            return self.stdout.read(), None

    def send_signal(self, number: int) -> None:
        if self.poll() is None and self.pid:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


SHARED = "ENERGY_HARNESS_TESTS_PREPARED"
"""Variable with the address of a server that the starter of several test processes has begun."""


@functools.cache
def server() -> str:
    """The address of the server; of this process's own, begun now, if none is shared."""
    import time

    address, ends_s = os.environ.get(SHARED) or begin(), time.monotonic() + 300
    while not Path(address).with_name("python").exists():
        assert time.monotonic() < ends_s, "the server of prepared processes did not begin"
        time.sleep(0.01)
    return address


def begin() -> str:
    """Begin a server, which imports everything and then writes its `python`; its address."""
    import atexit
    import subprocess
    import tempfile

    folder = tempfile.TemporaryDirectory(prefix="prepared-")
    address = f"{folder.name}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.prepared", address],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
    )

    def end() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    return address


def python() -> str:
    """What takes the place of `python` at the start of a command."""
    if not hasattr(os, "pidfd_open"):  # it is Linux's
        return sys.executable
    return str(Path(server()).with_name("python"))


def start_others() -> None:
    """Have a prepared process start others as one that runs tests must.

    What a test starts as `sys.executable` is a new interpreter. A fork server comes from the server
    of prepared processes, as this one may hold what a test has changed.
    """
    import multiprocessing.util

    spawn = getattr(multiprocessing.util.spawnv_passfds, "__wrapped__", None)
    if spawn is None:
        return
    sys.executable = sys.orig_argv[0]

    def start(path: str, words: list[str], keep: list[int]) -> int:
        if not _is_fork_server(words):
            return int(spawn(path, words, keep))
        kept = ",".join(str(number) for number in keep)
        own = os.fsencode(python())
        return int(spawn(own, [own, f"{KEEP}{kept}", *words[1:]], keep))

    multiprocessing.util.spawnv_passfds = start


KEEP = "--keep="
"""Before the words of a process that also gets the files of these numbers."""


def main(address: str, words: list[str]) -> NoReturn:
    """Be `python WORDS...`, by way of the server where that is possible."""
    kept: list[int] = []
    if words[0].startswith(KEEP):
        kept = [int(number) for number in words[0].removeprefix(KEEP).split(",")]
        words = words[1:]
    # It writes little, and no debugger comes, for whom Jupyter leaves out frozen modules.
    code, asked = None, words[1:] if words[0] in ("-u", "-Xfrozen_modules=off") else words
    if asked[0] in ("-c", "-m") or not asked[0].startswith("-"):
        files = {number: number for number in (0, 1, 2, *kept)}
        running = Running(address, asked, str(Path.cwd()), dict(os.environ), files)
        if process := running.pid:
            for number in FORWARDED:
                signal.signal(number, lambda number, _: os.kill(process, number))
            code = running.wait()
    if code is None:
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - as a shell would
    if code < 0:
        if -code in FORWARDED:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def serve(address: str) -> None:
    """Fork a process per request until standard input ends."""
    import gc
    import importlib
    import selectors

    from harness.scheduler.scheduler import sleeping_threads

    environment = dict(os.environ)  # before imports set variables, too
    with sleeping_threads():
        for module in MODULES:
            importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    python = Path(address).with_name("python")
    own = shlex.join([sys.executable, "-IS", str(Path(__file__).resolve()), address])
    program = f'#!/bin/sh\nexec {own} "$@"\n'
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen()
        unfinished = python.with_suffix(".new")
        unfinished.write_text(program)
        unfinished.chmod(0o755)
        unfinished.rename(python)  # whole from its first moment on
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while not any(key.fileobj == 0 for key, _ in selector.select()):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                selector.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                sys.executable = str(python)
                _answer(connection, environment)
                os._exit(0)
            connection.close()


def _answer(connection: socket.socket, environment: dict[str, str]) -> None:
    """Run what is asked for in a child, kill it if the client goes, and send its exit code."""
    _, files, _, _ = socket.recv_fds(connection, 1, 16)
    with connection, connection.makefile("rw") as lines:
        request = json.loads(lines.readline())
        if _comes_too_late(request["environment"], environment):
            _send(lines, None)
            return
        child = os.fork()
        if child == 0:
            connection.detach()
            _become(files=files, **request)
        for file in files:
            os.close(file)
        _send(lines, child)
        ended = os.pidfd_open(child)
        if ended not in select.select([ended, connection], [], [])[0]:
            os.kill(child, signal.SIGKILL)
        _send(lines, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _comes_too_late(asked: dict[str, str], mine: dict[str, str]) -> bool:
    """Whether a variable differs that libraries read while they load; some set such ones, too."""
    from harness.scheduler.scheduler import WAITING

    free = {"PYTHONPATH"} | ({"LD_LIBRARY_PATH"} if _driver(asked) else set())
    return any(
        asked.get(name)
        not in (mine.get(name), os.environ.get(name), WAITING.get(name, mine.get(name)))
        for name in {*asked, *mine} - free
        if name.startswith(READ_WHILE_LOADING)
    )


def _driver(environment: dict[str, str]) -> str | None:
    """The stand-in NVML that a search for it would find first."""
    folder = environment.get("LD_LIBRARY_PATH", "").split(os.pathsep)[0]
    library = Path(folder, "libnvidia-ml.so.1")
    return str(library) if folder and library.exists() and library.stat().st_size else None


def _become(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    files: list[int],
    numbers: list[int],
    blocked: list[int],
    *,
    own_session: bool,
) -> NoReturn:
    """Be `python WORDS...` from now on."""
    import atexit
    import ctypes
    import fcntl
    import importlib
    import multiprocessing.process
    import multiprocessing.util
    import threading
    import traceback

    import numpy as np

    above = max(numbers) + 1  # where none of them is in the way of another
    files = [fcntl.fcntl(theirs, fcntl.F_DUPFD, above) for theirs in files]
    for own, theirs in zip(numbers, files, strict=True):
        os.dup2(theirs, own)
    _close_all_but(*numbers)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    if own_session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    multiprocessing.process.ORIGINAL_DIR = folder
    multiprocessing.util.spawnv_passfds = _fork_server_or(multiprocessing.util.spawnv_passfds)
    if driver := _driver(environment):
        ctypes.CDLL(driver)  # by its soname it is found from now on
    # The shell that runs the tests may ignore these, as `nohup` does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    np.random.seed()
    importlib.invalidate_caches()
    first = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[1:] = [*first, *(path for path in sys.path[1:] if path not in first)]
    code = 0
    try:
        _run(folder, *words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        code = 1
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(folder: str, kind: str, *rest: str) -> None:
    import runpy
    import types

    match kind:
        case "-m":
            sys.argv, sys.path[0] = list(rest), folder
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        case "-c":
            sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
            sys.modules["__main__"] = module = types.ModuleType("__main__")
            exec(compile(rest[0], "<string>", "exec"), vars(module))  # noqa: S102 - as `python -c`
        case script:
            sys.argv, sys.path[0] = [script, *rest], str(Path(script).resolve().parent)
            runpy.run_path(script, run_name="__main__")


Spawn = Callable[[str, list[str], list[int]], int]


def _fork_server_or(spawn: Spawn) -> Spawn:
    """Fork what `multiprocessing` would start with another interpreter, if it is a fork server."""
    import types
    from multiprocessing import forkserver, resource_tracker

    @functools.wraps(spawn)
    def start(path: str, words: list[str], keep: list[int]) -> int:
        if not _is_fork_server(words):
            return spawn(path, words, keep)
        child = os.fork()
        if child == 0:
            _close_all_but(0, 1, 2, *keep)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            known: Any = (forkserver._forkserver, resource_tracker._resource_tracker)
            for each in known:  # it knows none yet
                each.__init__()
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                exec(words[-1], {})  # noqa: S102 - `multiprocessing`'s own line
            finally:
                os._exit(0)
        return child

    return start


def _is_fork_server(words: list[str]) -> bool:
    return "multiprocessing.forkserver" in str(words[-1])


def _close_all_but(*keep: int) -> None:
    for name in [path.name for path in Path("/proc/self/fd").iterdir()]:
        if int(name) not in keep:
            with suppress(OSError):  # the one that lists them is closed already
                os.close(int(name))


def _send(file: TextIO, message: object) -> None:
    file.write(json.dumps(message) + "\n")
    file.flush()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(sys.argv[1], sys.argv[2:])
    serve(sys.argv[1])
