"""slime's hooks for rewards and for logs, on the arguments and samples that slime documents."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from host_metrics import metric_names, needed_options

from gd2po import METHODS, advantages, gd2po_advantages, gdpo_advantages
from gd2po.diagnosis import RewardLog, diagnose
from gd2po.diagnosis.verdict.advice import WINDOW
from gd2po.errors import ConfigError, InvalidInputError, RewardFunctionError, RunFolderError
from gd2po.integrations import slime
from gd2po.integrations.slime import conflict_metrics, log_rollout, post_process_rewards

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
    prompt: str | list[dict[str, str]] = ""
    response: str = ""
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
        "custom_rollout_log_function_path": None,
        "gd2po": {"reward_keys": KEYS},
    }
    return SimpleNamespace(**defaults | changes)


def logging_arguments(folder: Path, **options: Any) -> SimpleNamespace:
    """A run that logs into a folder."""
    return arguments(
        custom_rollout_log_function_path="gd2po.integrations.slime.log_rollout",
        gd2po={"reward_keys": KEYS, "log_folder": str(folder), **options},
    )


def samples_of(rewards: Any = REWARDS) -> list[Sample]:
    return [
        Sample(
            row // 4,
            row,
            {"score": 10.0 + row, **dict(zip(KEYS, scores, strict=True))},
            TOKENS[row],
            f"Question {row // 4}?",
            f"Answer {row}.",
        )
        for row, scores in enumerate(rewards)
    ]


def rollouts(folder: Path) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((folder / "rollouts").iterdir())), ignore_index=True)


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


def test_a_batch_counts_once_among_those_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families are found over the batches of a run, and slime asks for logs and for advantages of each."""
    section = {"reward_keys": KEYS, "method": "consensus", "partners": "correlated"}
    args = arguments(custom_rollout_log_function_path="mine", gd2po=section)
    batches = [samples_of(), samples_of([row[::-1] for row in REWARDS])]

    def products(calls: list[str]) -> torch.Tensor:
        monkeypatch.setattr(slime, "_running", None)
        for number, batch in enumerate(batches):
            for call in calls:
                if call == "metrics":
                    conflict_metrics(args, batch)
                elif call == "log":
                    log_rollout(number, args, batch, {}, 1.0)
                else:
                    post_process_rewards(args, batch)
        return slime._running.session.agreement.products  # type: ignore[union-attr]

    once = products(["advantages"])
    torch.testing.assert_close(products(["log", "advantages"]), once)
    torch.testing.assert_close(products(["metrics", "advantages"]), once)


def moving(**options: Any) -> dict[str, Any]:
    ramp = {"schedule": "linear", "start": 0.0, "end": 2.0, "steps": 3}
    return {"reward_keys": KEYS, "method": "gdpo", "reward_weights": [1.0, 1.0, ramp], **options}


def test_weights_that_move_are_those_of_the_step_that_log_rollout_was_told() -> None:
    args = arguments(custom_rollout_log_function_path="mine", gd2po=moving(), num_rollout=3)
    rewards = torch.tensor(REWARDS, dtype=torch.float64)
    for rollout_id, weight in ((0, 0.0), (1, 1.0), (2, 2.0)):
        metrics: dict[str, Any] = {}
        log_rollout(rollout_id, args, samples_of(), metrics, 1.0)
        assert metrics["conflict/weight/length"] == weight
        raw, found = post_process_rewards(args, samples_of())
        expected = advantages(rewards, GROUP_IDS, method="gdpo", reward_weights=[1.0, 1.0, weight])
        assert found == pytest.approx(expected.advantages.tolist(), abs=1e-12)
        assert raw == pytest.approx([a + b + weight * c for a, b, c in REWARDS])
    with pytest.raises(ConfigError, match="nobody has said which step this batch is for"):
        post_process_rewards(args, samples_of())


def test_weights_that_move_are_refused_where_slime_does_not_tell_the_step_or_runs_longer() -> None:
    with pytest.raises(
        ConfigError, match=r"`gd2po.reward_weights` that move .*set `--custom-rollout-log-function-path`"
    ):
        post_process_rewards(arguments(gd2po=moving()), samples_of())
    args = arguments(custom_rollout_log_function_path="mine", gd2po=moving(), num_rollout=4)
    with pytest.raises(ConfigError, match=r"`gd2po.reward_weights\[2\]` ends at step 3, and the run has 4 steps"):
        log_rollout(0, args, samples_of(), {}, 1.0)


def test_conditions_hold_rewards_back() -> None:
    conditions = [{"reward": "length", "on": "correctness", "threshold": 0.5, "otherwise": -1.0}]
    rewards = torch.tensor(REWARDS, dtype=torch.float64)
    rewards[rewards[:, 0] < 0.5, 2] = -1.0
    section = {"reward_keys": KEYS, "method": "gdpo", "reward_conditions": conditions}
    raw, found = post_process_rewards(arguments(gd2po=section), samples_of())
    assert found == pytest.approx(advantages(rewards, GROUP_IDS, method="gdpo").advantages.tolist(), abs=1e-12)
    assert raw == pytest.approx([sum(scores) for scores in REWARDS])


def test_the_raw_reward_is_the_component_that_slime_is_told_to_look_at() -> None:
    raw, _ = post_process_rewards(arguments(reward_key="score"), samples_of())
    assert raw == [10.0 + row for row in range(8)]


def test_none_says_that_a_reward_does_not_apply() -> None:
    rewards = torch.tensor(REWARDS, dtype=torch.float64)
    rewards[2, 1] = float("nan")
    samples = samples_of()
    samples[2].reward["format"] = None
    raw, advantages = post_process_rewards(arguments(), samples)
    assert advantages == pytest.approx(gdpo_advantages(rewards, GROUP_IDS).advantages.tolist())
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


@pytest.mark.parametrize("method", METHODS)
def test_the_section_takes_every_method(method: str) -> None:
    needed = needed_options(method, 3)
    section = {"reward_keys": KEYS, "method": method, "reward_weights": [1, 0.5, 2], **needed}
    _, found = post_process_rewards(arguments(gd2po=section), samples_of())
    rewards = torch.tensor(REWARDS, dtype=torch.float64)
    token_counts = torch.tensor(TOKENS)
    expected = advantages(
        rewards, GROUP_IDS, method=method, reward_weights=[1, 0.5, 2], token_counts=token_counts, **needed
    ).advantages
    assert found == pytest.approx(expected.tolist(), abs=1e-12)


def test_metrics_are_the_rows_of_metrics_and_the_means() -> None:
    metrics = conflict_metrics(arguments(gd2po={"reward_keys": KEYS, "filtering": "hard"}), samples_of())
    assert set(metrics) == metric_names(KEYS) | {f"rewards/{key}/mean" for key in KEYS}
    assert metrics["conflict/filtered_rate"] > 0
    assert metrics["rewards/length/mean"] == pytest.approx(np.mean(REWARDS, axis=0)[2])


def test_the_metrics_join_what_slime_logs_of_the_step() -> None:
    slimes_own = {"rollout/dropped": 3}
    assert log_rollout(0, arguments(), samples_of(), slimes_own, 1.5) is False
    assert slimes_own == pytest.approx({"rollout/dropped": 3, **conflict_metrics(arguments(), samples_of())})


def test_where_slime_logs_no_more_the_metrics_go_to_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gd2po.integrations.slime"):
        log_rollout(7, arguments(), samples_of(), None, 1.5)
    assert "rollout 7: {'conflict/rate': " in caplog.text


def test_advice_is_given_once_in_a_run_and_a_new_run_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    constant = [[*scores[:2], 0.5] for scores in REWARDS]

    def said(steps: int, **options: Any) -> list[str]:
        caplog.clear()
        for step in range(steps):
            args = arguments(gd2po={"reward_keys": KEYS, **options})
            log_rollout(step, args, samples_of(constant), {}, 0.0)
            post_process_rewards(args, samples_of(constant))
        return [record.message for record in caplog.records if "'length' was the same" in record.message]

    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.slime"):
        assert said(WINDOW - 1, snr_threshold=0.11) == []
        assert len(said(WINDOW, snr_threshold=0.11)) == 1
        assert said(WINDOW, snr_threshold=0.11) == []
        assert said(WINDOW - 1, snr_threshold=0.12) == []


def test_rollouts_are_logged_once_per_step_and_can_be_diagnosed(tmp_path: Path) -> None:
    args = logging_arguments(tmp_path, filtering="hard")
    samples = samples_of()
    samples[2].reward["format"] = None
    for rollout_id in range(2):
        log_rollout(rollout_id, args, samples, {}, 0.0)
        _, computed = post_process_rewards(args, samples)
    log = rollouts(tmp_path)
    assert log["step"].tolist() == [1] * 8 + [2] * 8
    last = log[log["step"] == 2]
    assert last["prompt"].tolist() == [f"Question {row // 4}?" for row in range(8)]
    assert last["completion"].tolist() == [f"Answer {row}." for row in range(8)]
    assert last["group"].tolist() == GROUP_IDS.tolist()
    assert last["completion_tokens"].tolist() == TOKENS
    assert last["advantage"].tolist() == pytest.approx(computed)
    assert last["reward/correctness"].tolist() == pytest.approx([scores[0] for scores in REWARDS])
    assert last["reward/format"].isna().tolist() == [row == 2 for row in range(8)]
    assert diagnose(RewardLog(tmp_path)).verdict.kind


def test_parts_of_a_rollout_are_one_row_of_the_log(tmp_path: Path) -> None:
    samples = samples_of()
    samples[1].rollout_id = 1
    messages = [{"role": "user", "content": "Question 0?"}]
    samples[1] = replace(samples[1], prompt=messages, response="First half.")
    samples.append(replace(samples[1], response="Second half.", prompt=[*messages, *messages]))
    log_rollout(0, logging_arguments(tmp_path), samples, {}, 0.0)
    log = rollouts(tmp_path)
    assert len(log) == 8
    assert log["prompt"][1] == "user: Question 0?"
    assert log["completion"][1] == "First half.\nSecond half."
    assert log["completion_tokens"][1] == 2 * TOKENS[1]


def test_a_resumed_run_replaces_the_steps_that_it_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*rollout_ids: int) -> None:
        monkeypatch.setattr("gd2po.integrations.slime._running", None)  # as in another process
        for rollout_id in rollout_ids:
            log_rollout(rollout_id, logging_arguments(tmp_path), samples_of(), {}, 0.0)

    run(0, 1, 2, 3)
    run(2)
    assert rollouts(tmp_path)["step"].unique().tolist() == [1, 2, 3]
    with pytest.raises(RunFolderError, match="holds the rollouts of another run"):
        run(0)


def test_a_folder_that_nothing_would_be_written_into_is_refused(tmp_path: Path) -> None:
    args = logging_arguments(tmp_path)
    args.custom_rollout_log_function_path = None
    with pytest.raises(ConfigError, match="set `--custom-rollout-log-function-path` to it"):
        post_process_rewards(args, samples_of())


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
