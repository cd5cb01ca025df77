"""Real parts of verl for tests: its configuration, batches and queue. Skips the module where verl is not installed."""

from __future__ import annotations

import copy
import functools
import os
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from host_metrics import needed_options

from gd2po import advantages

if find_spec("verl") is None:
    pytest.skip("verl is not installed here; `make test-verl` runs these tests", allow_module_level=True)

os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # Ray warns of a change to come otherwise
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # verl warns of every engine that is not installed
    import verl.trainer.ppo.v1  # noqa: F401
    from hydra import compose, initialize_config_module
    from verl import DataProto

KEYS = ["correctness", "format", "length"]
REWARDS = np.random.default_rng(3).choice([0.0, 0.3, 0.5, 1.0], size=(8, 3)).tolist()
TOKENS = [3, 5, 1, 4, 2, 2, 6, 3]
GROUP_IDS = torch.arange(8) // 4


@functools.cache  # composing takes a third of a second
def verl_config(*overrides: str) -> Any:
    """verl's own default configuration with what a user writes on the command line. Not to be changed."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


def gd2po_config(*options: str, keys: list[str] | None = None, n: int = 4, overrides: Sequence[str] = ()) -> Any:
    """The configuration of a gd2po run; options as `filtering=hard`, and what else a user overrides."""
    return verl_config(
        "algorithm.adv_estimator=gd2po",
        f"+algorithm.gd2po.reward_keys=[{','.join(keys or KEYS)}]",
        f"actor_rollout_ref.rollout.n={n}",
        *(f"+algorithm.gd2po.{option}" for option in options),
        *overrides,
    )


def run_with(method: str) -> tuple[Any, torch.Tensor]:
    """The configuration of a run with a method, and the advantages (N,) that the batch above then has."""
    needed = needed_options(method, len(KEYS))
    weights, options = [1, 0.5, 2], [f"{name}={value}" for name, value in needed.items()]
    tokens = torch.tensor(TOKENS)
    result = advantages(
        torch.tensor(REWARDS), GROUP_IDS, method=method, reward_weights=weights, token_counts=tokens, **needed
    )
    return gd2po_config(f"method={method}", f"reward_weights={weights}", *options), result.advantages


def data_proto(rewards: Any, uids: Any, token_counts: Any, keys: list[str] | None = None) -> DataProto:
    """A batch as the legacy trainer has it before it computes advantages."""
    rewards, token_counts = np.asarray(rewards, dtype=float), torch.as_tensor(token_counts)
    width = int(token_counts.max())
    scores = torch.zeros(len(rewards), width)
    return DataProto.from_dict(
        tensors={
            "response_mask": (torch.arange(width) < token_counts[:, None]).to(torch.int64),
            "token_level_rewards": scores,
            "token_level_scores": scores,
        },
        non_tensors={
            "uid": np.array([str(uid) for uid in uids], dtype=object),
            **{key: rewards[:, k] for k, key in enumerate(keys or KEYS[: rewards.shape[1]])},
        },
    )


def with_texts(data: DataProto, tokenizer: Any, prompts: list[str], completions: list[str]) -> DataProto:
    """The batch with prompts padded on the left and completions on the right, as the legacy trainer has them."""
    token_ids = [[tokenizer(text)["input_ids"] for text in texts] for texts in (prompts, completions)]
    padded, masks = [], []
    for side, rows in zip(("left", "right"), token_ids, strict=True):
        width = max(map(len, rows)) + 2
        gaps = [[0] * (width - len(row)) for row in rows]
        ones = [[1] * len(row) for row in rows]
        # 7, an ordinary token, as padding: only the mask tells what it is.
        padded.append([[7] * len(gap) + row if side == "left" else row + [7] * len(gap)
                       for row, gap in zip(rows, gaps, strict=True)])  # fmt: skip
        masks.append([gap + one if side == "left" else one + gap for one, gap in zip(ones, gaps, strict=True)])
    data.batch["prompts"], data.batch["responses"] = map(torch.tensor, padded)
    data.batch["attention_mask"] = torch.cat(list(map(torch.tensor, masks)), dim=1)
    return data


def legacy_trainer(config: Any, tokenizer: Any = None) -> Any:
    """A real `RayPPOTrainer` before its workers start, at step 1."""
    from verl.trainer.ppo.ray_trainer import RayPPOTrainer
    from verl.trainer.ppo.utils import Role

    prompts = [{"prompt": "?"}] * config.data.train_batch_size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated, and that there is no critic
        trainer = RayPPOTrainer(
            copy.deepcopy(config),  # which it completes
            tokenizer,
            {Role.ActorRollout: object},
            None,
            train_dataset=prompts,
            val_dataset=prompts,
            collate_fn=list,
        )
    trainer.global_steps = 1
    return trainer


def v1_trainer(config: Any, tokenizer: Any = None) -> Any:
    """A real trainer of verl's default kind before its workers start, at step 1."""
    from verl.trainer.ppo.v1 import PPOTrainerSync

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no critic
        trainer = PPOTrainerSync(config)
    trainer.tokenizer, trainer.global_steps = tokenizer, 1
    return trainer


def per_rollout(advantages: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The one value that every token of a row has, after a look that it is one and that other positions have none."""
    largest = (advantages * mask).sum(1) / mask.sum(1).clamp(min=1)
    torch.testing.assert_close(advantages, (largest[:, None] * mask).to(advantages.dtype))
    return largest
