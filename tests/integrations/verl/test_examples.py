"""The launch scripts under examples/verl: what verl's own Hydra, reward loader and reward manager make of them."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import verl_parts  # noqa: F401  # first, for what it does before verl is imported
import yaml
from omegaconf import OmegaConf

from gd2po.data import builtin_model
from gd2po.errors import ConfigError
from gd2po.integrations.verl.plugin import check_config

from verl import DataProto  # isort: skip
from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager  # isort: skip
from verl.utils.config import omega_conf_to_dataclass, validate_config  # isort: skip

EXAMPLES = Path(__file__).parents[3] / "examples" / "verl"
REWARDS = ["tool_call_correctness", "tool_call_format", "think_length"]
CALL = '<tool_call>\n{"name": "add", "parameters": {"a": 1}}\n</tool_call>'
REFERENCE = f"<think> easy </think>\n{CALL}"


@functools.cache
def composed(*overrides: str) -> Any:
    """The configuration that the script's command has in verl."""
    result = subprocess.run(
        ["bash", str(EXAMPLES / "tool_calling.sh"), *overrides, "--cfg", "job"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONWARNINGS": "ignore"},
    )
    assert result.returncode == 0, result.stderr
    return OmegaConf.create(yaml.safe_load(result.stdout[result.stdout.index("actor_rollout_ref:") :]))


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_proper_bash(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False).returncode == 0


def test_the_script_has_the_published_hyperparameters() -> None:
    config = composed()
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    assert config.algorithm.adv_estimator == "gd2po"
    settings = check_config(config.algorithm)
    assert settings.reward_keys == tuple(REWARDS)
    assert settings.setting.options == {"snr_threshold": 0.8, "whitening": "tokens"}
    assert (config.data.train_batch_size, rollout.n, actor.ppo_mini_batch_size, actor.ppo_epochs) == (512, 4, 128, 1)
    assert (config.data.max_prompt_length, config.data.max_response_length) == (2048, 1024)
    assert (actor.optim.lr, actor.optim.weight_decay, actor.grad_clip, actor.clip_ratio) == (1e-6, 0.01, 1.0, 0.2)
    assert (actor.use_kl_loss, actor.entropy_coeff, actor.loss_agg_mode) == (False, 0, "token-mean")
    assert (rollout.temperature, rollout.top_p, rollout.name) == (1.0, 1.0, "vllm")
    assert (config.trainer.total_epochs, config.trainer.save_freq, config.trainer.test_freq) == (30, 5, 10)
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node, config.trainer.use_v1) == (1, 8, True)


def test_verl_accepts_the_configuration() -> None:
    config = composed()
    validate_config(config, use_reference_policy=False, use_critic=False)
    assert omega_conf_to_dataclass(config.actor_rollout_ref.rollout).n == 4


def test_arguments_of_ones_own_come_last() -> None:
    config = composed("+algorithm.gd2po.filtering=hard", "trainer.use_v1=false", "trainer.nnodes=2")
    assert check_config(config.algorithm).setting.options["filtering"] == "hard"
    assert (config.trainer.use_v1, config.trainer.nnodes) == (False, 2)


def test_verl_loads_our_rewards_and_its_manager_passes_the_components_on() -> None:
    from transformers import AutoTokenizer

    config = composed()
    score = get_custom_reward_fn(config)(data_source="rlla", solution_str=REFERENCE, ground_truth=REFERENCE)
    assert score == {"score": 4.0, **dict(zip(REWARDS, (3.0, 1.0, 0.0), strict=True))}

    tokenizer = AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"))

    async def managed(text: str, ground_truth: str) -> dict[str, Any]:
        manager = load_reward_manager(config, tokenizer)
        responses = torch.tensor([tokenizer(text)["input_ids"]])
        data = DataProto.from_dict(
            tensors={"responses": responses, "attention_mask": torch.ones_like(responses)},
            non_tensors={
                "data_source": np.array(["rlla"], dtype=object),
                "reward_model": np.array([{"ground_truth": ground_truth}], dtype=object),
                "extra_info": np.array([{"split": "train"}], dtype=object),
            },
        )
        found: dict[str, Any] = await manager.run_single(data)
        return found

    text = tokenizer.decode(tokenizer(REFERENCE)["input_ids"], skip_special_tokens=True)
    found = asyncio.run(managed(REFERENCE, text))
    assert found["reward_score"] == found["reward_extra_info"]["score"] > 0
    assert set(found["reward_extra_info"]) == {"score", *REWARDS}
    unmatched = asyncio.run(managed(REFERENCE, "<think> x </think>\n<response> y </response>"))
    assert unmatched["reward_extra_info"]["tool_call_correctness"] is None


def test_a_mistyped_option_is_heard() -> None:
    config = composed("+algorithm.gd2po.snr_treshold=0.5")
    with pytest.raises(ConfigError, match="Did you mean 'snr_threshold'"):
        check_config(config.algorithm)
