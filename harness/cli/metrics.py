"""A Prometheus endpoint: how the runs of this command stand, while they run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from harness.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_PREFIX = "energy_harness"


@dataclass(frozen=True)
class Now:
    """How a run stands.

    Attributes:
        arm: Its arm.
        seed: Its seed.
        state: "running", or how it ended.
        source: Where the energy comes from, such as "counter"; "" if nothing is known of it.
        energy_j: Drawn so far by the attempt that this command works on.
        power_w: Now.
        epochs: Trained so far.
        metric: What scores are; "" if nothing is known of it.
        val_score: At the last evaluation, in the metric's own unit; None before the first.
    """

    arm: str
    seed: int
    state: str
    source: str
    energy_j: float
    power_w: float
    epochs: int
    metric: str
    val_score: float | None


@contextmanager
def served(place: str | None, study: str, now: Callable[[], list[Now]]) -> Iterator[None]:
    """Serve `http://PLACE/metrics` meanwhile; nothing where no place is given.

    Args:
        place: PORT of this machine alone, or HOST:PORT.
        study: Its name.
        now: Says how runs stand.

    Raises:
        UsageError: The place is none, or taken, or the package is not installed.
    """
    if place is None:
        yield
        return
    found = re.fullmatch(r"(?:(.+):)?(\d{1,5})", place)
    if not found:
        raise UsageError(f"--metrics {place}: must be PORT or HOST:PORT")
    if find_spec("prometheus_client") is None:
        raise UsageError("--metrics: pip install 'energy-harness[prometheus]'")
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.registry import Collector

    class Runs(Collector):  # type: ignore[misc]
        def collect(self) -> Iterator[Metric]:
            return _families(study, now())

    registry = CollectorRegistry()
    registry.register(Runs())
    try:
        server, thread = start_http_server(
            int(found[2]), addr=found[1] or "127.0.0.1", registry=registry
        )
    except (OSError, OverflowError) as error:
        raise UsageError(f"--metrics {place}: {error}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _families(study: str, runs: list[Now]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    names = ("study", "arm", "seed")

    def gauge(name: str, text: str, *more: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=(*names, *more))

    def counter(name: str, text: str, *more: str) -> CounterMetricFamily:
        return CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=(*names, *more))

    state = gauge("run", "1 for each run, by how it stands", "state")
    drawn = counter("energy_joules", "Energy that the run's attempt has drawn so far", "source")
    power = gauge("power_watts", "Power over the last second", "source")
    epochs = counter("epochs", "Epochs trained so far")
    score = gauge("validation_score", "At the last evaluation; an accuracy is 0 to 1", "metric")
    for run in runs:
        labels = [study, run.arm, str(run.seed)]
        state.add_metric([*labels, run.state], 1)
        epochs.add_metric(labels, run.epochs)
        if run.source:
            drawn.add_metric([*labels, run.source], run.energy_j)
            power.add_metric([*labels, run.source], run.power_w)
        if run.val_score is not None:
            score.add_metric([*labels, run.metric], run.val_score)
    yield from (state, drawn, power, epochs, score)
