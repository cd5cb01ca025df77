"""The random numbers of a seed."""

from __future__ import annotations

import torch

from gd2po.worlds.draws import Streams, generator


def test_streams_differ_by_seed_and_by_name() -> None:
    first = [torch.rand(4, generator=generator(*key)).tolist() for key in ((0, "a"), (0, "b"), (1, "a"), (0, "a"))]
    assert first[0] == first[3]
    assert first[0] != first[1]
    assert first[0] != first[2]


def test_the_numbers_of_a_seed_do_not_depend_on_its_company() -> None:
    alone, together = Streams([5], "rollouts"), Streams([3, 5], "rollouts")
    for _ in range(3):
        assert torch.equal(alone.uniform(2, 3)[0], together.uniform(2, 3)[1])


def test_subsets_hold_different_numbers_and_reach_all() -> None:
    streams = Streams(range(4), "prompts")
    drawn = torch.stack([streams.subset(3, 7) for _ in range(50)])
    assert drawn.shape == (50, 4, 3)
    assert bool((drawn.sort(-1).values.diff(dim=-1) > 0).all())
    assert set(drawn.unique().tolist()) == set(range(7))
