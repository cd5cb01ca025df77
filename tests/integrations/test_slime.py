"""slime's hook for post-processing of rewards, on the arguments and samples that slime documents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gd2po import gd2po_advantages
from gd2po.errors import ConfigError, InvalidInputError, RewardFunctionError
from gd2po.integrations.slime import conflict_metrics, post_process_rewards

KEYS = ["correctness", "format", "length"]
REWARDS = np.random.default_rng(3).choice([0.0, 0.3, 0.5, 1.0], size=(8, 3)).tolist()
TOKENS = [3, 5, 1, 4, 2, 2, 6, 3]
GROUP_IDS = torch.arange(8) // 4


@dataclass
class Sample:
    """The fields of slime's `Sample` that matter here."""

    group_index: int | None
    index: int | None
    reward: Any
    response_length: int
    loss_mask: list[int] | None = None
    remove_sample: bool = False
    rollout_id: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def arguments(**changes: Any) -> SimpleNamespace:
    """slime's parsed command line; `gd2po` comes from the file of --custom-config-path."""
    defaults: dict[str, Any] = {
        "advantage_estimator": "grpo",
        "normalize_advantages": False,
        "n_samples_per_prompt": 4,
        "reward_key": None,
        "gd2po": {"reward_keys": KEYS},
    }
    return SimpleNamespace(**defaults | changes)


def samples_of(rewards: Any = REWARDS) -> list[Sample]:
    return [
        Sample(row // 4, row, {"score": 10.0 + row, **dict(zip(KEYS, scores, strict=True))}, TOKENS[row])
        for row, scores in enumerate(rewards)
    ]


@pytest.mark.parametrize("estimator", ["grpo", "gspo", "cispo"])
def test_the_advantages_are_those_of_the_core(estimator: str) -> None:
    section = {"reward_keys": KEYS, "snr_threshold": 0.3, "whitening": "tokens", "reward_weights": [1, 0.5, 2]}
    raw, advantages = post_process_rewards(arguments(gd2po=section, advantage_estimator=estimator), samples_of())
    expected = gd2po_advantages(
        torch.tensor(REWARDS, dtype=torch.float64),
        GROUP_IDS,
        snr_threshold=0.3,
        whitening="tokens",
        reward_weights=[1, 0.5, 2],
        token_counts=torch.tensor(TOKENS),
    )
    assert 2 < expected.keep_mask.sum() < 8
    assert advantages == pytest.approx(expected.advantages.tolist(), abs=1e-12)
    assert raw == pytest.approx([a + 0.5 * b + 2 * c for a, b, c in REWARDS])
    assert all(type(value) is float for value in [*raw, *advantages])


def test_the_raw_reward_is_the_component_that_slime_is_told_to_look_at() -> None:
    raw, _ = post_process_rewards(arguments(reward_key="score"), samples_of())
    assert raw == [10.0 + row for row in range(8)]


def test_none_says_that_a_reward_does_not_apply() -> None:
    rewards = torch.tensor(REWARDS, dtype=torch.float64)
    rewards[2, 1] = float("nan")
    samples = samples_of()
    samples[2].reward["format"] = None
    raw, advantages = post_process_rewards(arguments(), samples)
    assert advantages == pytest.approx(gd2po_advantages(rewards, GROUP_IDS).advantages.tolist())
    assert raw[2] == pytest.approx(REWARDS[2][0] + REWARDS[2][2])


def test_samples_may_come_in_any_order() -> None:
    order = [5, 0, 7, 2, 3, 6, 1, 4]
    _, straight = post_process_rewards(arguments(), samples_of())
    _, shuffled = post_process_rewards(arguments(), [samples_of()[row] for row in order])
    assert shuffled == pytest.approx([straight[row] for row in order])


def test_parts_of_a_rollout_count_once_and_share_its_advantage() -> None:
    section = {"reward_keys": KEYS, "whitening": "tokens"}
    whole = samples_of()
    _, expected = post_process_rewards(arguments(gd2po=section), whole)
    whole[1].rollout_id = 1
    parts = [replace(whole[1], response_length=2), *whole[2:], whole[0], replace(whole[1], response_length=3)]
    _, found = post_process_rewards(arguments(gd2po=section), parts)
    assert found == pytest.approx([expected[1], *expected[2:], expected[0], expected[1]])


def test_only_tokens_that_carry_loss_count() -> None:
    section = {"reward_keys": KEYS, "whitening": "tokens", "filtering": "none"}
    samples = samples_of()
    samples[3].loss_mask = [1, 0, 0, 0]
    samples[6].remove_sample = True
    _, advantages = post_process_rewards(arguments(gd2po=section), samples)
    tokens = torch.tensor([*TOKENS[:3], 1, *TOKENS[4:6], 0, TOKENS[7]])
    expected = gd2po_advantages(
        torch.tensor(REWARDS, dtype=torch.float64), GROUP_IDS, filtering="none", whitening="tokens", token_counts=tokens
    )
    assert advantages == pytest.approx(expected.advantages.tolist())


def test_metrics_go_by_our_names() -> None:
    metrics = conflict_metrics(arguments(), samples_of())
    assert metrics["conflict/filtered_rate"] > 0
    assert metrics["rewards/length/mean"] == pytest.approx(np.mean(REWARDS, axis=0)[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"advantage_estimator": "ppo"}, "`--advantage-estimator` must be one of grpo, gspo, cispo"),
        ({"normalize_advantages": True}, "`--normalize-advantages` would whiten the advantages again"),
        ({"n_samples_per_prompt": 1}, "`--n-samples-per-prompt` must be at least 2"),
        ({"gd2po": None}, "`gd2po.reward_keys` must list the components"),
        ({"gd2po": {"reward_keys": KEYS, "filterin": "snr"}}, "Did you mean 'filtering'?"),
        ({"gd2po": {"reward_keys": KEYS, "snr_threshold": 2}}, "`snr_threshold` must be a number in [0, 1]"),
    ],
)
def test_mistakes_in_the_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        post_process_rewards(arguments(**changes), samples_of())
    assert message in str(caught.value)


def test_a_missing_section_is_named() -> None:
    args = arguments()
    del args.gd2po
    with pytest.raises(ConfigError, match=r"`gd2po.reward_keys` must list the components"):
        post_process_rewards(args, samples_of())


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (
            {"correctness": 1.0, "length": 0.0},
            "Sample 5 of group 1 has no reward 'format', it has: correctness, length",
        ),
        (0.5, "Sample 5 of group 1 has no reward 'correctness', it has: 0.5"),
        (None, "Sample 5 of group 1 has no reward 'correctness', it has: None"),
        (dict.fromkeys(KEYS, float("inf")), "Sample 5 of group 1: reward 'correctness' must be a finite number"),
    ],
)
def test_a_wrong_reward_names_its_sample(reward: Any, message: str) -> None:
    samples = samples_of()
    samples[5].reward = reward
    with pytest.raises(RewardFunctionError) as caught:
        post_process_rewards(arguments(), samples)
    assert message in str(caught.value)


def test_a_group_that_was_cut_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Group 1 has 2 of its 4 rollouts in this batch"):
        post_process_rewards(arguments(), samples_of()[:6])


def test_parts_with_different_rewards_are_refused() -> None:
    samples = [*samples_of(), replace(samples_of()[5], reward=dict.fromkeys(KEYS, 0.125))]
    with pytest.raises(InvalidInputError, match="are parts of one rollout and carry different rewards"):
        post_process_rewards(arguments(), samples)


def test_samples_without_a_group_and_nested_lists_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="Sample 0 of group None has no `group_index`"):
        post_process_rewards(arguments(), [replace(samples_of()[0], group_index=None), *samples_of()[1:]])
    with pytest.raises(InvalidInputError, match="must be a flat list of slime's samples: got a nested list"):
        post_process_rewards(arguments(), [samples_of()])
    with pytest.raises(InvalidInputError, match="must be a flat list of slime's samples: got none"):
        post_process_rewards(arguments(), [])
