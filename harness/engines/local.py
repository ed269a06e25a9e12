"""Runs on this machine: one at a time, or a queue over its GPUs or over shares of its CPU.

One at a time is the default: runs that share a host disturb each other's energy.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from harness.engines.attempt import POLL_S, StopRun
from harness.engines.place import Place
from harness.engines.turn import Outcome, Turns, Watcher
from harness.results.folder import RunFolder
from harness.spec import RunSpec


class LocalEngine:
    """Executes runs in order, as many at a time as there are places.

    Args:
        turns: What a run's turn is.
        places: Where runs execute, one at a time each.
        watch: Called over and over while a run works; with several places, by a thread each.
    """

    def __init__(self, turns: Turns, places: Sequence[Place], watch: Watcher) -> None:
        self._turns = turns
        self._places = places
        self._watch = watch

    def run(self, specs: list[RunSpec]) -> Iterator[Outcome]:
        """Work on every run that is not done; yields each run's outcome.

        What others hold is tried again after the rest, and left to them if they still work on it.

        Raises:
            StorageError: Results cannot be written any more; no further run is begun.
            MeasurementError: The energy cannot be measured as asked for.
        """
        waiting = specs
        while waiting:
            postponed = []
            for outcome in self._round(waiting):
                if outcome.is_postponed:
                    postponed.append(outcome)
                    continue
                yield outcome
                if outcome.reached and outcome.reached.ends_study:
                    return
            if len(postponed) == len(waiting):
                yield from postponed
                return
            waiting = [outcome.spec for outcome in postponed]

    def _round(self, specs: list[RunSpec]) -> Iterator[Outcome]:
        """Every run's turn, once."""
        if len(self._places) > 1:
            yield from self._abreast(specs)
            return
        for spec in specs:
            yield self._turns.take(spec, self._places[0], self._watch)

    def _abreast(self, specs: list[RunSpec]) -> Iterator[Outcome]:
        """Turns at all places at once, in threads that do no more than wait for processes."""
        free, waiting = deque(self._places), deque(specs)
        working: dict[Future[Outcome], Place] = {}
        left = threading.Event()
        pool = ThreadPoolExecutor(len(self._places))

        def watch(spec: RunSpec, folder: RunFolder) -> None:
            if left.is_set():
                raise StopRun("the harness was told to stop")
            self._watch(spec, folder)

        try:
            while waiting or working:
                while free and waiting:
                    place = free.popleft()
                    future = pool.submit(self._turns.take, waiting.popleft(), place, watch)
                    working[future] = place
                over, _ = wait(working, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for future in over:
                    free.append(working.pop(future))
                    yield future.result()
        finally:
            # Left early, for whatever reason: runs under way close their last windows first.
            left.set()
            pool.shutdown(wait=True, cancel_futures=True)
