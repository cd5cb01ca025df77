"""ms-swift as installed from the package index: `swift rlhf` itself, two steps on a CPU, and what gd2po relies on."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engine_runs import check_run

from gd2po import advantages
from gd2po.data import builtin_model
from gd2po.errors import ConfigError
from gd2po.integrations import swift as host
from gd2po.integrations.doctor import supported_range

PLUGIN = """
from gd2po.integrations.swift import register
from swift.rewards import ORM, orms


class Short(ORM):
    def __call__(self, completions, **kwargs):
        return [float(len(text) < 40) for text in completions]


class Letters(ORM):
    def __call__(self, completions, **kwargs):
        return [sum(char in "aeiou" for char in text) / (1 + len(text)) for text in completions]


orms.update(short=Short, letters=Letters)
register(method="gd2po", filtering="hard", reward_weights=[1.0, 0.5], log_folder={folder!r})
"""
ARGUMENTS = """
--rlhf_type grpo --model_type llama --template default --tuner_type full --torch_dtype float32 --use_cpu true
--reward_funcs short letters --num_generations 4 --max_completion_length 16 --per_device_train_batch_size 8
--gradient_accumulation_steps 1 --max_steps 2 --logging_steps 1 --report_to none --save_strategy no --beta 0
--split_dataset_ratio 0 --add_version false --gradient_checkpointing false --dataloader_num_workers 0 --attn_impl sdpa
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A function that makes a whole run of `swift rlhf`, with more arguments, and returns its logging.jsonl."""
    from swift.pipelines import rlhf_main
    from swift.trainers.trainer_factory import TrainerFactory

    (tmp_path / "plugin.py").write_text(PLUGIN.format(folder=str(tmp_path / "log")))
    rows = [{"messages": [{"role": "user", "content": f"Say something about number {n}."}]} for n in range(8)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = dict(TrainerFactory.TRAINER_MAPPING)

    def start(*more: str) -> list[dict[str, Any]]:
        paths = {
            "external_plugins": tmp_path / "plugin.py",
            "model": builtin_model("builtin:toolcalls"),
            "dataset": tmp_path / "train.jsonl",
            "output_dir": tmp_path / "run",
        }
        rlhf_main(
            [*ARGUMENTS.split(), *(part for name, path in paths.items() for part in (f"--{name}", str(path))), *more]
        )
        return [json.loads(line) for line in (tmp_path / "run" / "logging.jsonl").read_text().splitlines()]

    yield start
    TrainerFactory.TRAINER_MAPPING.clear()
    TrainerFactory.TRAINER_MAPPING.update(before)


def test_swift_rlhf_trains_on_these_advantages_and_logs_them(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[float]] = []
    original = host.GD2POTrainer._postprocess_batch

    def spy(self: Any, samples: Any, batches: Any) -> None:
        original(self, samples, batches)
        rows = [batch["grpo_batch"] for batch in batches]
        assert all(bool((row.advantages == row.advantages[:, :1]).all()) for row in rows)
        given.append(torch.cat([row.advantages[:, 0] for row in rows]).tolist())

    monkeypatch.setattr(host.GD2POTrainer, "_postprocess_batch", spy)
    steps = [line for line in run() if "conflict/rate" in line]
    options = {"method": "gd2po", "filtering": "hard", "reward_weights": [1.0, 0.5]}
    check_run(tmp_path / "log", steps, given, rewards=["Short", "Letters"], group_size=4, **options)
    assert all(step["grad_norm"] > 0 for step in steps)
    assert all("rewards/Short/mean" in step for step in steps)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--scale_rewards", "gdpo"], "`scale_rewards` has no effect here"),
        (["--advantage_estimator", "rloo"], "`advantage_estimator` has no effect here"),
        (["--kl_in_reward", "true"], "`kl_in_reward` takes a penalty off the sum"),
        (["--reward_weights", "1", "2"], "Give the weights once"),
    ],
)
def test_what_would_undo_the_advantages_is_refused_before_training(run: Any, more: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(*more)


def test_rows_of_one_request_are_one_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A multi-turn scheduler of ms-swift may split a trajectory into several rows, with the rewards of the whole."""
    from swift.rlhf_trainers.grpo_trainer import GRPOTrainer

    recorded: dict[str, Any] = {}
    session = SimpleNamespace(
        advantages=lambda rewards, groups, tokens: advantages(
            rewards, groups, method="gd2po", whitening="tokens", token_counts=tokens
        ),
        record=lambda *args, **kwargs: recorded.update(kwargs, rewards=args[0], tokens=args[3]),
    )
    trainer = object.__new__(host.GD2POTrainer)
    trainer.__dict__.update(dynamic_num_samples=True, _gd2po=session, accelerator=SimpleNamespace(gather=lambda x: x))
    monkeypatch.setattr(GRPOTrainer, "_compute_advantages", lambda *args: None)
    monkeypatch.setattr(host, "gather_object", lambda value: value)

    requests, prompts = ["a", "a", "b", "c", "d", "d"], ["p", "p", "p", "q", "q", "q"]
    samples = [
        SimpleNamespace(
            request_id=request,
            prompt_id=prompt,
            messages=[{"role": "user", "content": prompt}, {"role": "assistant", "content": f"turn {row}"}],
        )
        for row, (request, prompt) in enumerate(zip(requests, prompts, strict=True))
    ]
    rewards = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.5], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    masks = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    batches = [{"grpo_batch": SimpleNamespace(completion_mask=masks[rows])} for rows in (slice(0, 3), slice(3, 6))]
    got = trainer._compute_advantages(samples, rewards, batches)

    whole = advantages(
        rewards[[1, 2, 3, 5]],
        torch.tensor([0, 0, 1, 1]),
        method="gd2po",
        whitening="tokens",
        token_counts=torch.tensor([3, 3, 1, 5]),
    )
    torch.testing.assert_close(got, whole.loss_advantages[[0, 0, 1, 2, 3, 3]])
    assert recorded["completions"] == ("turn 1", "turn 2", "turn 3", "turn 5")
    assert recorded["tokens"].tolist() == [3, 3, 1, 5]


def test_ms_swift_still_has_what_gd2po_replaces_and_reads() -> None:
    import swift
    from swift.rl_core.data import GRPOBatch, GRPOSample
    from swift.rlhf_trainers.grpo_trainer import GRPOTrainer
    from swift.trainers.trainer_factory import TrainerFactory

    assert swift.__version__ in supported_range("ms-swift")
    names = list(inspect.signature(GRPOTrainer._compute_advantages).parameters)
    assert names == ["self", "samples", "rewards_per_func", "batch_encoded_inputs"]
    assert "advantages" in GRPOTrainer._postprocess_batch.__code__.co_names
    assert TrainerFactory.TRAINER_MAPPING["grpo"] == "swift.rlhf_trainers.GRPOTrainer"
    assert {"prompt_id", "request_id", "messages"} <= GRPOSample.__dataclass_fields__.keys()
    assert "completion_mask" in GRPOBatch.__dataclass_fields__
