"""Which groups are replaced, by what, and when it stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gd2po import METHODS
from gd2po.core import Setting
from gd2po.integrations.session import Session
from gd2po.integrations.trl.dynamic_sampling import (
    GroupSignals,
    ReplacementPrompts,
    fill,
    groups_to_draw,
    rows_of_process,
)
from gd2po.integrations.trl.generated import Generated
from gd2po.runs.reward_weights import RewardWeights

GDPO = Session(Setting.named("gdpo", "test"), ["a", "b"])


def generated(groups: list[str]) -> Generated:
    """Groups of two rollouts: "signal", "dead" (nothing varies) or "cancelled" (two rewards against each other)."""
    scores = {
        "signal": [[1.0, 0.0], [0.0, 0.0]],
        "dead": [[1.0, 1.0], [1.0, 1.0]],
        "cancelled": [[1.0, 0.0], [0.0, 1.0]],
    }
    rows = len(groups) * 2
    names = [f"{group}{number}" for number, group in enumerate(groups) for _ in range(2)]
    inputs = {
        "prompt_ids": torch.arange(rows)[:, None],
        "prompt_mask": torch.ones(rows, 1),
        "completion_ids": torch.ones(rows, 3),
        "completion_mask": torch.ones(rows, 3),
    }
    return Generated(inputs, torch.tensor([row for group in groups for row in scores[group]]), {"prompt": names}, 0)


def filled(first: list[str], *draws: list[str], most: int = 10, session: Session = GDPO) -> tuple[Any, list[int]]:
    """The batch after replacement from these draws, and how many groups were asked for each time."""
    asked: list[int] = []

    def draw(missing: int) -> Generated:
        asked.append(missing)
        return generated(draws[len(asked) - 1])

    def judge(batch: Generated) -> GroupSignals:
        return GroupSignals.of(session, batch, 2)

    return fill(generated(first), draw=draw, judge=judge, group_size=2, max_num_gen_batches=most), asked


def groups_of(batch: Generated) -> list[str]:
    return batch.logs["prompt"][::2]


def test_a_batch_full_of_signal_is_left_as_it_is() -> None:
    found, asked = filled(["signal", "signal"])
    assert asked == []
    assert groups_of(found.batch) == ["signal0", "signal1"]
    assert (found.gen_batches, found.drawn_groups, found.drawn_silent, found.left_silent) == (1, 2, 0, 0)


def test_groups_without_signal_are_replaced_in_their_places() -> None:
    found, asked = filled(["dead", "signal", "cancelled"], ["signal", "signal"])
    assert asked == [2]
    assert groups_of(found.batch) == ["signal0", "signal1", "signal1"]
    assert found.batch.inputs["prompt_ids"][:, 0].tolist() == [0, 1, 2, 3, 2, 3]
    assert found.batch.rewards.tolist() == [[1.0, 0.0], [0.0, 0.0]] * 3
    assert (found.gen_batches, found.drawn_groups, found.left_silent) == (2, 5, 0)
    assert (found.drawn_silent, found.drawn_cancelled) == (2, 1)


def test_only_what_is_missing_still_is_drawn_again() -> None:
    found, asked = filled(["dead", "dead", "signal"], ["dead", "signal"], ["dead"], ["signal"])
    assert asked == [2, 1, 1]
    assert groups_of(found.batch) == ["signal1", "signal0", "signal2"]
    assert (found.gen_batches, found.drawn_groups, found.drawn_silent, found.left_silent) == (4, 7, 4, 0)


def test_at_the_bound_what_there_is_is_kept() -> None:
    found, asked = filled(["dead", "cancelled", "signal"], ["dead", "signal"], ["dead"], most=3)
    assert asked == [2, 1]
    assert groups_of(found.batch) == ["signal1", "cancelled1", "signal2"]
    assert (found.gen_batches, found.left_silent) == (3, 1)


def test_more_groups_than_are_missing_fill_no_place_of_a_group_with_signal() -> None:
    found, _ = filled(["dead", "signal"], ["signal", "signal"])
    assert groups_of(found.batch) == ["signal0", "signal1"]
    assert found.batch.inputs["prompt_ids"][:, 0].tolist() == [0, 1, 2, 3]
    assert found.drawn_groups == 4


def test_the_method_decides_what_a_signal_is() -> None:
    def silent(method: str, *weights: float) -> int:
        session = Session(Setting.named(method, "test"), ["a", "b"], RewardWeights(weights or (1.0, 1.0)))
        return filled(["signal", "cancelled"], most=1, session=session)[0].left_silent

    assert silent("gdpo") == 1
    assert silent("gdpo", 1.0, 0.5) == 0  # the sum varies, and so does the weighted sum of z-scores
    assert silent("dara") == 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_asked(method: str) -> None:
    values: dict[str, Any] = {"method": method}
    for name in METHODS[method].needs:
        values[name] = {"reward_minima": [0.0, 0.0], "reward_bounds": [[0.0, 1.0], [0.0, 1.0]]}[name]
    session = Session(Setting.of(values, "test"), ["a", "b"])
    found, _ = filled(["dead", "signal"], ["signal"], session=session)
    assert groups_of(found.batch) == ["signal0", "signal1"]


def test_groups_are_judged_among_those_that_stay() -> None:
    seen: list[int] = []

    def judge(batch: Generated) -> GroupSignals:
        seen.append(len(batch.rewards) // 2)
        return GroupSignals.of(GDPO, batch, 2)

    fill(
        generated(["dead", "signal", "signal"]),
        draw=lambda missing: generated(["signal"]),
        judge=judge,
        group_size=2,
        max_num_gen_batches=5,
    )
    assert seen == [3, 3, 3]  # the batch, two that stay with the one drawn, the batch again


def test_replacement_prompts_depend_on_seed_step_and_number_alone() -> None:
    data = [{"prompt": number} for number in range(20)]

    def drawn(seed: int, steps: list[int], counts: list[int]) -> list[Any]:
        prompts = ReplacementPrompts(data, seed)
        for step in steps:
            prompts.start(step)
        return [row["prompt"] for count in counts for row in prompts.take(count)]

    # A resumed run has not seen the steps before.
    assert drawn(1, [0, 1, 2], [3, 4]) == drawn(1, [2], [3, 4]) == drawn(1, [2], [7])
    assert drawn(1, [2], [7]) != drawn(1, [3], [7])
    assert drawn(1, [2], [7]) != drawn(2, [2], [7])
    assert drawn(1, [2], [7]) != drawn(1, [2, 2], [7])  # the second batch of one step


def test_no_replacement_prompt_comes_twice_before_all_have_come_once() -> None:
    prompts = ReplacementPrompts([{"prompt": number} for number in range(5)], 0)
    prompts.start(0)
    drawn = [row["prompt"] for count in (2, 2, 6) for row in prompts.take(count)]
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == list(range(5))
    assert drawn[:5] != drawn[5:]


@pytest.mark.parametrize(
    ("missing", "group_size", "processes", "expected"),
    [(3, 4, 1, 3), (3, 4, 2, 3), (3, 3, 2, 4), (1, 8, 16, 2), (5, 6, 4, 6), (1, 1, 8, 8)],
)
def test_drawn_groups_are_shared_evenly(missing: int, group_size: int, processes: int, expected: int) -> None:
    drawn = groups_to_draw(missing, group_size, processes)
    assert drawn == expected
    prompts = [{"prompt": number} for number in range(drawn)]
    shares = [rows_of_process(prompts, group_size, process, processes) for process in range(processes)]
    assert len({len(share) for share in shares}) == 1
    assert [row["prompt"] for share in shares for row in share] == [
        number for number in range(drawn) for _ in range(group_size)
    ]


def test_rows_are_dictionaries_of_their_own() -> None:
    first, second = rows_of_process([{"prompt": "x"}], 2, 0, 1)
    first["env"] = 1
    assert "env" not in second
