"""Random channels have exactly the widths they are asked for."""

from __future__ import annotations

import json

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness import ChannelMask, Inspect, shuffled_channels

masks = st.dictionaries(
    st.sampled_from("abc"), st.text(alphabet="01", min_size=1, max_size=24), min_size=1
).map(ChannelMask)


@given(mask=masks, seed=st.integers(0, 100))
def test_every_group_keeps_its_width_and_its_size(mask: ChannelMask, seed: int) -> None:
    torch.manual_seed(seed)
    shuffled = shuffled_channels(mask)(None, None)
    assert shuffled.widths() == mask.widths()
    assert {n: len(bits) for n, bits in shuffled.layers.items()} == {
        n: len(bits) for n, bits in mask.layers.items()
    }


def test_places_are_random_and_follow_from_the_seed() -> None:
    question = shuffled_channels(ChannelMask({"a": "1" * 8 + "0" * 24}))
    drawn = []
    for seed in (0, 0, *range(1, 60)):
        torch.manual_seed(seed)
        drawn.append(question(None, None).layers["a"])
    assert drawn[0] == drawn[1]
    shares = [sum(bits[place] == "1" for bits in drawn) / len(drawn) for place in range(32)]
    assert all(0.05 < share < 0.5 for share in shares)  # each place is kept a quarter of the time


def test_it_is_distinguished_by_its_mask() -> None:
    one, other = (Inspect(shuffled_channels(ChannelMask({"a": bits}))) for bits in ("10", "11"))
    assert one.describe() != other.describe()
    assert json.loads(json.dumps(one.describe())) == one.describe()
