"""Text in windows: what is held out is never trained on, and an epoch follows from its seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness import Tokens
from harness.errors import RunError, UsageError
from harness.settings.settings import Training, WorkloadChoice
from harness.workloads.data.text import bytes_of
from harness.workloads.data_fingerprint import identity_of
from harness.workloads.files import check_data
from harness.workloads.loaded import checked
from harness.workloads.open import open_sources
from harness.workloads.python_docs import python_documentation
from harness.workloads.source import LoadingContext, Opened, Part
from harness.workloads.tokens import Windows, first_tokens, spans, token_sources
from harness.workloads.workload import open_workload

CPU = torch.device("cpu")
CONTEXT = 8
LENGTH = 5000


def choose(**keys: Any) -> WorkloadChoice:
    return WorkloadChoice(data="python_docs", model="gpt_tiny", **{"context": CONTEXT, **keys})


def opened(part: Part | None = None, length: int = LENGTH, **keys: Any) -> Opened:
    """A text whose every token is its own place."""
    ids = torch.arange(length)
    context = LoadingContext(choose(**keys), Training(), CPU, part or Part())
    return token_sources(Tokens(ids, torch.arange(300), length), context)


def places(inputs: Tensor, targets: Tensor) -> set[int]:
    return {*inputs.flatten().tolist(), *targets.flatten().tolist()}


def seen_by(source: Any, seeds: range | None = None) -> set[int]:
    batches = (
        source.in_order()
        if seeds is None
        else [batch for seed in seeds for batch in source.epoch(64, seed)]
    )
    return set.union(*(places(*batch) for batch in batches))


def test_nothing_that_is_held_out_is_ever_trained_on() -> None:
    found = opened()
    trained, held_out = seen_by(found.train, range(40)), seen_by(found.validation)
    assert not trained & held_out
    assert len(trained | held_out) > 0.97 * LENGTH, "hardly anything is left out"
    assert abs(len(held_out) / LENGTH - 0.125) < 0.02
    spread = sorted(held_out)
    assert spread[0] < LENGTH / 10 < 9 * LENGTH / 10 < spread[-1]


def test_targets_are_the_next_tokens() -> None:
    for batch in (*opened().train.epoch(64, 0), *opened().test.in_order()):
        assert batch.inputs.shape == batch.targets.shape == (len(batch.inputs), CONTEXT)
        assert torch.equal(batch.inputs + 1, batch.targets)


def test_each_token_of_a_test_is_predicted_once() -> None:
    targets = torch.cat([batch.targets for batch in opened().test.in_order(7)]).flatten()
    assert targets.tolist() == list(range(1, 1 + len(targets)))
    assert len(targets) > 300 - CONTEXT - 1


def test_an_epoch_follows_from_its_seed_alone_and_is_cut_elsewhere_the_next_time() -> None:
    train = opened().train
    first, again, other = (
        torch.cat([batch.inputs for batch in train.epoch(50, seed)]) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert len(first) == len(train) == len(set(first[:, 0].tolist()))
    assert first[:, 0].sort().values.tolist() != other[:, 0].sort().values.tolist()
    assert {len({int(t) % CONTEXT for t in x[:, 0]}) > 1 for x in (first, other)} == {True}


def test_the_shares_of_several_processes_make_up_the_same_batches() -> None:
    whole = [batch.inputs for batch in opened().train.epoch(50, seed=1)]
    shares = [[*opened(Part(rank, 3)).train.epoch(50, seed=1)] for rank in range(3)]
    together = [torch.cat([batch.inputs for batch in parts]) for parts in zip(*shares, strict=True)]
    assert all(torch.equal(one, other) for one, other in zip(whole, together, strict=True))


def test_a_part_of_the_training_text() -> None:
    some, same, all_ = (opened(train_samples=n).train for n in (20, 20, None))
    assert isinstance(some, Windows)
    assert isinstance(same, Windows)
    assert len(some) == 20 < len(all_)
    assert torch.equal(some.starts, same.starts)
    with pytest.raises(RunError, match=r"train_samples = 9999: there are \d+"):
        opened(train_samples=9999)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_spans_tile_a_text(share: float) -> None:
    rest, held_out = spans(1003, share, 7)
    both = sorted([*rest, *held_out])
    assert [start for start, _ in both] == [0, *(end for _, end in both[:-1])]
    assert both[-1][1] == 1003
    assert sum(end - start for start, end in held_out) == pytest.approx(1003 * share, abs=7)


def test_windows_leave_room_for_their_last_target_and_their_shift() -> None:
    assert first_tokens([(0, 9)], 8).tolist() == [0]
    assert first_tokens([(0, 8)], 8).tolist() == []
    assert first_tokens([(3, 20), (30, 47)], 8).tolist() == [3, 11, 30, 38]
    assert first_tokens([(3, 20)], 8, shift=1).tolist() == [3]


def test_a_text_that_is_too_short() -> None:
    with pytest.raises(RunError, match=r"validation text has no window.*context = 64"):
        opened(length=400, context=64)


@pytest.mark.parametrize(
    ("recipe", "keys", "message"),
    [
        ({"flip": True}, {}, r"training\.flip is for images"),
        ({"crop_padding": 2}, {}, r"training\.crop_padding"),
        ({}, {"image_size": 32}, r"workload\.image_size"),
        ({}, {"input": "loader"}, r"workload\.input"),
    ],
)
def test_what_only_images_have_is_refused(
    recipe: dict[str, Any], keys: dict[str, Any], message: str
) -> None:
    tokens = Tokens(torch.arange(2000) % 9, torch.arange(300) % 9, 9)
    with pytest.raises(RunError, match=message):
        open_sources(tokens, LoadingContext(choose(**keys), Training(**recipe), CPU))


SOUND = Tokens(torch.arange(99) % 5, torch.arange(99) % 5, 5)


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (replace(SOUND, vocabulary=4), "train: ids are 0 to 4"),
        (replace(SOUND, test=torch.arange(99.0)), "test: must be whole numbers"),
        (replace(SOUND, test=torch.zeros(0, dtype=torch.int64)), "test: must be whole numbers"),
        (replace(SOUND, train=torch.zeros(3, 3, dtype=torch.int64)), "train: must be"),
        (replace(SOUND, train=[1, 2]), "train: must be a tensor, not list"),  # type: ignore[arg-type]
        (replace(SOUND, vocabulary=1), "vocabulary"),
        (replace(SOUND, bytes_per_token=0), "bytes_per_token"),
    ],
)
def test_what_is_wrong_with_tokens_is_named(faulty: Tokens, message: str) -> None:
    assert checked(SOUND, choose()) is SOUND
    with pytest.raises(RunError) as caught:
        checked(faulty, choose())
    assert f"workload.data 'python_docs': {message}" in str(caught.value)


def test_bytes_become_their_ranks_and_every_byte_is_somewhere() -> None:
    text = b"abba cab" * 40
    tokens = bytes_of(text)
    known = b" abc"
    assert tokens.vocabulary == 4
    rebuilt = bytes(known[each] for each in torch.cat([tokens.train, tokens.test]).tolist())
    assert sorted(rebuilt) == sorted(text)
    assert len(tokens.test) == pytest.approx(32, abs=16)
    with pytest.raises(RunError, match="two different bytes"):
        bytes_of(b"aaa")


def test_the_documentation_of_python_repeats_nothing() -> None:
    text = python_documentation().decode()
    paragraphs = [" ".join(each.split()) for each in text.split("\n\n")]
    assert len(paragraphs) == len(set(paragraphs)) > 1000
    assert 'The "with" statement' in text


def test_a_workload_of_text_counts_no_samples_as_images() -> None:
    workload = open_workload(choose(context=64), Training(), CPU)
    assert workload.example.shape == (1, 64)
    assert workload.example.dtype == torch.int64
    assert workload.task.metric.name == "bits per byte"
    network = workload.build_network(0)
    assert network(workload.example).shape == (1, 64, workload.outputs)
    assert workload.identity == identity_of(choose(context=64))


def test_text_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.txt").write_text("second " * 300)
    (folder / "deep/c.txt").write_text("third " * 300)
    (folder / "a.txt").write_text("first " * 300)
    (folder / "._a.txt").write_bytes(b"\x00\x05")
    (folder / "notes.md").write_text("none")
    whole, single = choose(root=str(folder)), choose(root=str(folder / "a.txt"))
    by_choice = [choice.model_copy(update={"data": "text"}) for choice in (whole, single)]
    for choice, letters in zip(by_choice, (set("firstecondh "), set("first ")), strict=True):
        check_data(choice)
        assert open_workload(choice, Training(), CPU).outputs == len(letters)
    before = identity_of(by_choice[0])
    (folder / "b.txt").write_text("Second " + "second " * 299)
    assert identity_of(by_choice[0])["digest"] != before["digest"]


def test_text_that_is_not_there_is_found_before_a_run(tmp_path: Path) -> None:
    choice = choose(root=str(tmp_path)).model_copy(update={"data": "text"})
    with pytest.raises(UsageError, match=r"workload\.root: no text in .*\.txt files"):
        check_data(choice)
    with pytest.raises(UsageError, match=r"workload\.download: 'text' cannot be fetched"):
        check_data(choice.model_copy(update={"download": True}))
