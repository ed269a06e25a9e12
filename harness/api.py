"""The Python interface: `harness.measure()` around code, `harness.run("quick")` for a study."""

from __future__ import annotations

import functools
import inspect
import json
import os
import subprocess
import sys
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from harness.energy.measurement import MeasuredBlock
from harness.energy.sensors.base import Scope
from harness.energy.window_energy import Measured, WindowEnergy
from harness.errors import ExitCode, MeasurementError, UsageError
from harness.settings.settings import EnergySettings

if TYPE_CHECKING:
    import pandas as pd


_entered: ContextVar[tuple[MeasuredBlock, ...]] = ContextVar("entered", default=())
"""The open blocks around the running code, outermost first, per thread and asyncio task."""
F = TypeVar("F", bound=Callable[..., Any])
Entered = Callable[[], AbstractContextManager[None]]


class measure:  # noqa: N801 - it reads as the function it stands for
    """Measure the energy of a block, or of every call of a function: context manager and decorator.

    A recorder of its own watches the GPUs that `CUDA_VISIBLE_DEVICES` leaves to this process, and
    its processors, as the command `measure` does. When a window begins or ends, it waits for work
    that torch has launched on a GPU.

        with harness.measure() as energy:
            with energy.window("training"):
                train()
            with energy.window("evaluation"):
                evaluate()
        print(energy.found.joules.energy_j, energy.found.joules.uncertainty_j)
        print(energy.windows["training"].joules.energy_j)

    As a decorator it measures each call by itself, also of calls at the same time in several
    threads or tasks: of a coroutine function until the coroutine has ended, of a generator function
    from its first item until it has ended or is closed, including the time between two items. Each
    measurement counts the whole process, but no recorder. A call within a call that this object
    measures already belongs to the outer one. The energy of a process forked within a block counts
    for the block; only the process that opened the block can close it.

    Opening takes a second or more, closing a fraction of one; an event loop is blocked meanwhile.

    Attributes:
        found: Energy, uncertainty, devices and flags of the last block that ended; None before.
        windows: The energy of the windows within it, by name.

    Args:
        period_s: Time between two readings of power.
        idle_s: Seconds of idle power to measure first (hardware sensors only).
        trace: Keep the raw readings in this file; None keeps none. Of calls at the same time, it
            holds those of the one that began first.
        scope: Sum the machine's parts, or take the whole "machine" by its battery or another meter.
        plugs: Addresses of smart plugs that feed the machine, as `energy.plugs` of a study.
        controllers: Addresses of its management controllers, as `energy.controllers`.
    """

    def __init__(
        self,
        *,
        period_s: float = 0.05,
        idle_s: float = 0.0,
        trace: Path | None = None,
        scope: Scope = "parts",
        plugs: Sequence[str] = (),
        controllers: Sequence[str] = (),
    ) -> None:
        self._settings = EnergySettings(
            period_s=period_s,
            idle_s=idle_s,
            scope=scope,
            plugs=tuple(plugs),
            controllers=tuple(controllers),
        )
        # Calls may begin at once in several threads: what they share is changed by atomic
        # operations only.
        self._traces = [] if trace is None else [trace]
        self._blocks: list[MeasuredBlock] = []
        self._with: MeasuredBlock | None = None
        self._with_in: dict[int, object] = {}
        self._last: tuple[Measured | None, dict[str, WindowEnergy]] = (None, {})

    @property
    def found(self) -> Measured | None:
        """Of the last block that ended."""
        return self._last[0]

    @property
    def windows(self) -> dict[str, WindowEnergy]:
        """Of the last block that ended."""
        return self._last[1]

    def __enter__(self) -> measure:
        """Start the recorder; the window opens when it reads.

        Raises:
            RuntimeError: It is open already.
            MeasurementError: The recorder does not start.
        """
        mine = object()  # in a process forked within the block it may be opened again
        if self._around() or self._with_in.setdefault(os.getpid(), mine) is not mine:
            raise RuntimeError("this measurement is open already; make another with measure()")
        try:
            self._with = self._begun()
        except BaseException:
            del self._with_in[os.getpid()]
            raise
        _entered.set((*(each for each in _entered.get() if each.is_open), self._with))
        return self

    def __exit__(self, *_: object) -> None:
        """Close the block and the windows in it that are open, and compute the result."""
        try:
            if self._with:
                self._end(self._with)
        finally:
            self._with_in.pop(os.getpid(), None)

    def __call__(self, function: F) -> F:
        """Wrap a function so that each call is measured by itself."""

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with self._call() as entered, entered():
                return await function(*args, **kwargs)

        def iterated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with self._call() as entered:
                return (yield from _each(function(*args, **kwargs), entered))

        def called(*args: Any, **kwargs: Any) -> Any:
            with self._call() as entered, entered():
                return function(*args, **kwargs)

        measured: Callable[..., Any] = called
        if inspect.iscoroutinefunction(function):
            measured = awaited
        elif inspect.isasyncgenfunction(function):
            measured = self._iterated_async(function)
        elif inspect.isgeneratorfunction(function):
            measured = iterated
        return cast(F, functools.wraps(function)(measured))

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """Open a window within the block; several of one name are added up."""
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)

    def begin(self, name: str) -> None:
        """Open a window.

        Raises:
            RuntimeError: One of that name is open, or nothing is measured now.
        """
        block = self._block()
        if block is None or not block.begin(name):
            raise RuntimeError(f"window '{name}': is open already, or nothing is measured now")

    def end(self, name: str, called: str | None = None) -> None:
        """Close a window.

        Args:
            name: As it was opened.
            called: Under which name its energy is added up; None for `name`.

        Raises:
            RuntimeError: None of that name is open.
        """
        block = self._block()
        if block is None or not block.end(name, called):
            raise RuntimeError(f"window '{name}': is not open")

    def so_far_j(self) -> float:
        """Joules since the recorder began to read, roughly: for a display, not for a table."""
        block = self._block()
        return block.so_far_j() if block else 0.0

    def _iterated_async(
        self, function: Callable[..., AsyncGenerator[Any, Any]]
    ) -> Callable[..., AsyncGenerator[Any, Any]]:
        async def measured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with self._call() as entered:
                items = function(*args, **kwargs)
                answer: Any = None
                thrown: BaseException | None = None
                while True:
                    try:
                        with entered():
                            step = items.asend(answer) if thrown is None else items.athrow(thrown)
                            item = await step
                    except StopAsyncIteration:
                        return
                    answer = thrown = None
                    try:
                        answer = yield item
                    except GeneratorExit:
                        with entered():
                            await items.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is the generator's to answer
                        thrown = error

        return measured

    @contextmanager
    def _call(self) -> Iterator[Entered]:
        """Measure one call: yields the context to enter whenever code of the function runs."""
        if self._around():
            yield nullcontext
            return
        block = self._begun()

        @contextmanager
        def entered() -> Iterator[None]:
            token = _entered.set((*_entered.get(), block))
            try:
                yield
            finally:
                _entered.reset(token)

        try:
            yield entered
        finally:
            self._end(block)

    def _begun(self) -> MeasuredBlock:
        # Another block, perhaps of the process that this one was forked from, may have the file.
        trace = None
        with suppress(IndexError):
            trace = self._traces.pop()
        try:
            block = MeasuredBlock(self._settings, trace)
        except BaseException:
            self._traces += [trace] if trace else []
            raise
        self._blocks.append(block)
        return block

    def _end(self, block: MeasuredBlock) -> None:
        if not block.is_open:
            return
        try:
            self._last = block.close() or self._last
        finally:
            self._blocks.remove(block)
            self._traces += [block.trace] if block.trace else []

    def _around(self) -> MeasuredBlock | None:
        """The innermost block of this object around the running code."""
        around = [b for b in _entered.get() if b in self._blocks and b.is_open]
        return around[-1] if around else None

    def _block(self) -> MeasuredBlock | None:
        """The block that a window belongs to: around the running code, or the only one."""
        around = self._around()
        left = [block for block in self._blocks if not block.is_closed]
        own = [block for block in left if block.is_open]
        if around is None and len(own) > 1:
            raise RuntimeError("several calls are measured now, and this thread is in none of them")
        return around or next(iter(own or left), None)


def _each(items: Generator[Any, Any, Any], entered: Entered) -> Generator[Any, Any, Any]:
    """Iterate a generator with `entered` around each of its steps; returns what it returns."""
    answer: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            with entered():
                item = items.send(answer) if thrown is None else items.throw(thrown)
        except StopIteration as stop:
            return stop.value
        answer = thrown = None
        try:
            answer = yield item
        except GeneratorExit:
            with entered():
                items.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it is the generator's to answer
            thrown = error


def run(
    study: str | Path = "quick",
    *methods: str,
    seeds: Iterable[int] = (),
    out: str | Path | None = None,
    plugins: Iterable[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Run the missing runs of a study, and return the table of all its runs.

    It calls the command `run` in a process of its own, with that command's output.

    Args:
        study: A study file, or the name of one that comes with the harness.
        methods: Only these, or these as well.
        seeds: Replace the study's.
        out: The results folder; None is `results/<study>`.
        plugins: Python files with more methods.
        settings: Changes by dotted key, such as {"training.epochs": 20}. Values are as in Python: a
            path may be a `Path`, and None is what a setting is that was not given.

    Returns:
        The table of `harness.load`: a row a run; `status` says which are not done.

    Raises:
        UsageError: The input is wrong; nothing was run.
        MeasurementError: The energy cannot be measured as asked for.
        RuntimeError: The harness failed.
        KeyboardInterrupt: It was interrupted; finished runs are kept.
    """
    from harness.results.table import load
    from harness.study.choose import choose_study

    words = [str(study), *methods]
    values = json.dumps(dict(settings or {}), default=os.fspath)
    named = [str(plugin) for plugin in plugins]
    given = tuple(seeds)
    chosen, _ = choose_study(tuple(words), given, tuple(named), (), (), values=json.loads(values))
    folder = Path(out) if out else Path("results") / chosen.name
    command = [sys.executable, "-m", "harness", "run", *words, "--out", str(folder)]
    command += [word for seed in given for word in ("--seed", str(seed))]
    command += [word for plugin in named for word in ("--plugin", plugin)]
    command += ["--values", values]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(ended.stderr)
    match ended.returncode:
        case ExitCode.DONE | ExitCode.RUNS_FAILED | ExitCode.LIMIT:
            return load(folder)
        case ExitCode.USAGE:
            raise UsageError(ended.stderr.strip().removeprefix("error: "))
        case ExitCode.NOT_MEASURABLE:
            raise MeasurementError(ended.stderr.strip().removeprefix("error: "))
        case ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
    raise RuntimeError(f"the harness ended with exit code {ended.returncode}")
