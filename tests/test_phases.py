"""Every answer crosses JSON unchanged, so that a resumed method hears what it heard before."""

from __future__ import annotations

import gc
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest

from harness import (
    ChannelMask,
    Do,
    Freeze,
    Inspect,
    Mask,
    Record,
    Reinitialise,
    Resize,
    Rewind,
    Shrink,
    Snapshot,
    SnapshotAt,
    Train,
    bn_channel_mask,
    magnitude,
)
from harness.method.dry_run import _at_most
from harness.method.phases import Phase, Trained
from harness.pruning.size import Size


@dataclass(frozen=True)
class Rounding:
    """A function with a setting, as people write one."""

    bits: int

    def __call__(self, network: object, batch: object) -> None:
        raise NotImplementedError


MASK = ChannelMask({"a": "101", "b": "1"})


@pytest.mark.parametrize(
    ("phase", "answer"),
    [
        (Train("train", epochs=2, evaluate=True), Trained(0.123456789012345)),
        (Train("train", epochs=0), Trained(None)),
        (Train("train", epochs=1, snapshot=SnapshotAt("early", 5)), Trained(None)),
        (Inspect(bn_channel_mask(0.5)), MASK),
        (Inspect(lambda _network, _example: [1, "two", None]), [1, "two", None]),
        (Do("merge", partial(bn_channel_mask(0.5), samples=(1, 2)), answer=[1]), MASK),
        (Do("merge", Rounding(8)), {"moved": 0.5}),
        (Freeze(("features", "head.bias")), 10),
        (Freeze("all but last"), 10),
        (Resize(24), Size(10, 20, 1.0)),
        (Shrink(MASK), Size(10, 20, 1.0)),
        (Mask(magnitude, 0.2), Size(10, 20, 0.8)),
        (Snapshot("early"), None),
        (Rewind("early"), None),
        (Reinitialise(), None),
        (Record({"a": 1}), None),
    ],
)
def test_answers_cross_json(phase: Phase, answer: object) -> None:
    assert phase.decode(json.loads(json.dumps(phase.encode(answer)))) == answer
    description = phase.describe()
    assert json.loads(json.dumps(description)) == description
    assert phase.is_described_by(description), "as a resumed run asks"
    phase.dummy_answer()


def test_descriptions_tell_phases_apart() -> None:
    assert Train("a", 1).describe() != Train("a", 2).describe()
    assert Shrink(MASK).describe() != Shrink(ChannelMask({"a": "111", "b": "1"})).describe()
    early = Train("train", epochs=1, snapshot=SnapshotAt("early", 5))
    plain = Train("train", epochs=1)
    assert not early.is_described_by(plain.describe())
    assert not plain.is_described_by(early.describe())
    half, third = (Inspect(bn_channel_mask(ratio)).describe() for ratio in (0.5, 0.3))
    assert half != third
    four, eight = (Do("round", Rounding(bits)).describe() for bits in (4, 8))
    assert four != eight
    one, two = (Do("scale", partial(magnitude, by=by)).describe() for by in (1, 2))
    assert one != two


def test_a_phase_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="epochs is -1"):
        Train("train", epochs=-1)


def test_a_dry_run_ends_though_its_first_end_is_swallowed() -> None:
    ends = time.monotonic() + 20

    def go_on() -> None:
        while time.monotonic() < ends:
            pass

    def never_end() -> None:
        with suppress(TimeoutError):
            go_on()
        go_on()

    with _at_most(0.05), pytest.raises(TimeoutError):
        never_end()


def test_a_limit_of_time_is_tried_again_in_silence_where_nothing_can_be_raised() -> None:
    """The first alarm comes while the garbage collector calls back, where errors are printed."""
    alarms: list[str] = []

    def wait(phase: str, _: dict[str, int]) -> None:
        begun_s = time.monotonic()
        while not alarms and phase == "start":
            try:
                while time.monotonic() < begun_s + 10:
                    pass
            except TimeoutError:
                alarms.append(phase)
                raise

    def never_end() -> None:
        while True:
            if not alarms:
                gc.collect()

    printed: list[object] = []
    gc.callbacks.append(wait)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "unraisablehook", printed.append)
            with _at_most(0.05), pytest.raises(TimeoutError):
                never_end()
    finally:
        gc.callbacks.remove(wait)
    assert alarms == ["start"]
    assert not printed
