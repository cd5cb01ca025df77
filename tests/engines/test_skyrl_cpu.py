"""SkyRL as installed from the package index, without GPU.

Its workers and its inference servers need GPUs: NCCL and vLLM, which `skyrl[fsdp]` pins. All else in a step up to the
loss is SkyRL's own here: generator, agent loop and environments of skyrl-gym, both trainers' post-processing, their
batches, the registry of estimators. A client of transformers generates in place of the inference servers.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import typing
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typing_extensions
from engine_runs import check_run

if sys.version_info < (3, 12):  # where pydantic refuses the TypedDict that SkyRL 0.3.0 uses
    typing.TypedDict = typing_extensions.TypedDict

import skyrl_gym
from skyrl.backends.skyrl_train.utils import ppo_utils
from skyrl.train.entrypoints import main_base
from skyrl.train.fully_async_trainer import GeneratedOutputGroup
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from skyrl.train.generators.utils import prepare_generator_input
from skyrl.train.trainer import RayPPOTrainer
from skyrl.train.utils import validate_cfg
from skyrl_gym.envs.base_text_env import BaseTextEnv
from transformers import AutoModelForCausalLM, AutoTokenizer

from gd2po.data import builtin_model
from gd2po.errors import ConfigError, RewardFunctionError
from gd2po.integrations import skyrl as host
from gd2po.integrations.doctor import supported_range

REWARDS = ["short", "letters"]
OPTIONS: dict[str, Any] = {"method": "gd2po", "filtering": "hard", "reward_weights": [1.0, 0.5]}


class Say(BaseTextEnv):
    """As many turns as the prompt asks for; its metrics are the rewards."""

    def __init__(self, env_config: Any = None, extras: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.wanted, self.said = (extras or {}).get("turns", 1), ""

    def step(self, action: str) -> Any:
        self.turns += 1
        self.said += action
        metrics = self.get_metrics()
        return {
            "observations": [{"role": "user", "content": "Go on."}],
            "reward": sum(metrics.values()),
            "done": self.turns >= self.wanted,
            "metadata": {},
        }

    def get_metrics(self) -> dict[str, Any]:
        vowels = sum(char in "aeiou" for char in self.said) / (1 + len(self.said))
        return {"short": float(len(self.said) < 40 * self.turns), "letters": vowels}


class Client:
    """Generates with transformers, as SkyRL's client of inference servers does with vLLM."""

    def __init__(self, tokenizer: Any) -> None:
        torch.manual_seed(0)
        self.tokenizer, self.model = tokenizer, AutoModelForCausalLM.from_pretrained(builtin_model("builtin:toolcalls"))

    async def generate(self, engine_input: Any, model: str | None = None) -> dict[str, Any]:
        ids = torch.tensor(engine_input["prompt_token_ids"])
        out = self.model.generate(ids, max_new_tokens=16, do_sample=True, attention_mask=torch.ones_like(ids))
        new = out[0, ids.shape[1] :].tolist()
        text, logprobs = self.tokenizer.decode(new), [[-1.0] * len(new)]  # which nothing here looks at
        return {"responses": [text], "response_ids": [new], "stop_reasons": ["stop"], "response_logprobs": logprobs}

    async def finish_session(self, session_id: str) -> None:
        pass


@pytest.fixture(autouse=True)
def _registries() -> Any:
    if "gd2po_say" not in skyrl_gym.registry:
        skyrl_gym.register(id="gd2po_say", entry_point=Say)
    yield
    ppo_utils.AdvantageEstimatorRegistry._functions.pop(host.ESTIMATOR, None)


class Prompts(list[dict[str, Any]]):
    """Prompts that ask for so many turns each."""

    def __init__(self, turns: list[int]) -> None:
        super().__init__(
            {
                "prompt": [{"role": "user", "content": f"Say something about number {row}."}],
                "env_class": "gd2po_say",
                "env_extras": {"turns": wanted},
                "uid": f"prompt {row}",
            }
            for row, wanted in enumerate(turns)
        )

    def collate_fn(self, items: list[Any]) -> list[Any]:
        return items


def config(folder: Path, *more: str, prompts: int = 3) -> Any:
    return host.Config.from_cli_overrides(
        [
            "trainer.algorithm.advantage_estimator=gd2po",
            f"trainer.train_batch_size={prompts}",
            f"trainer.policy_mini_batch_size={prompts}",
            "data.dataloader.num_workers=0",
            "generator.n_samples_per_prompt=4",
            "generator.batched=false",
            "generator.inference_engine.enable_ray_prometheus_stats=false",
            f"gd2po.reward_keys=[{','.join(REWARDS)}]",
            "gd2po.method=gd2po",
            "gd2po.filtering=hard",
            "gd2po.reward_weights=[1.0,0.5]",
            f"gd2po.log_folder={folder}",
            *more,
        ]
    )


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"))


def make_trainer(cfg: Any, tokenizer: Any, processes: int, prompts: Prompts) -> Any:
    generator = SkyRLGymGenerator(cfg.generator, cfg.environment.skyrl_gym, Client(tokenizer), tokenizer)
    trainer = host.Experiment.get_trainer(
        object.__new__(host.Experiment),
        cfg=cfg,
        tracker=None,
        tokenizer=tokenizer,
        train_dataset=prompts,
        eval_dataset=None,
        inference_engine_client=None,
        generator=generator,
        colocate_pg=None,
    )
    trainer.dispatch = SimpleNamespace(get_lcm_dp_size=lambda: processes)
    return trainer


def step(trainer: Any, number: int) -> tuple[Any, dict[str, Any]]:
    """A training step up to the loss, as `RayPPOTrainer.train` makes it; the batch and its metrics."""
    cfg, samples = trainer.cfg, trainer.cfg.generator.n_samples_per_prompt
    trainer.global_step, trainer.all_metrics = number, {}
    inputs, uids = prepare_generator_input(trainer.train_dataset, samples, None, "gd2po_say", "train", number)
    output = asyncio.run(trainer.generator.generate(inputs, disable_tqdm=True))
    if cfg.generator.step_wise_trajectories:
        uids = [one.instance_id for one in output["trajectory_ids"]]
    output, uids = trainer.postprocess_generator_output(output, uids)
    data = trainer.convert_to_training_input(output, uids)
    data["values"] = None
    return trainer.compute_advantages_and_returns(data), dict(trainer.all_metrics)


def given(data: Any) -> list[float]:
    """The advantage of each trajectory; every token of the response has it, and no padding."""
    mask, advantages = data["response_mask"].bool(), data["advantages"]
    rows = len(mask) - data.metadata["pad_size"]
    per_row = [advantages[row][mask[row]].unique() for row in range(rows)]
    assert all(len(values) == 1 for values in per_row)
    assert not advantages[~mask].any()
    assert not advantages[rows:].any()
    last = data.metadata.get("is_last_step", [True] * rows)
    found, current = [], []
    for row, values in enumerate(per_row):
        current.append(float(values))
        if last[row]:
            assert len(set(current)) == 1  # all steps of a trajectory share it
            found.append(current[0])
            current = []
    return found


STEP_WISE = ("generator.max_turns=2", "generator.step_wise_trajectories=true")


@pytest.mark.parametrize(
    ("more", "turns"),
    [
        ((), [1, 1, 1]),
        (("generator.max_turns=2",), [2, 1, 2]),
        (STEP_WISE, [2, 1, 2]),
        ((*STEP_WISE, "generator.merge_stepwise_output=true"), [2, 1, 2]),
    ],
    ids=["single turn", "multi-turn", "step-wise", "step-wise, merged"],
)
@pytest.mark.parametrize("processes", [1, 5])
def test_skyrls_trainer_has_these_advantages_and_logs_them(
    tokenizer: Any, tmp_path: Path, more: tuple[str, ...], turns: list[int], processes: int
) -> None:
    trainer = make_trainer(config(tmp_path, *more), tokenizer, processes, Prompts(turns))
    assert type(trainer) is host.Trainer
    batches, metrics = zip(*(step(trainer, number) for number in (1, 2)), strict=True)
    check_run(tmp_path, metrics, [given(data) for data in batches], rewards=REWARDS, group_size=4, **OPTIONS)
    assert {"rewards/short/mean", "loss/avg_raw_advantages_abs"} <= metrics[0].keys()


def test_its_fully_asynchronous_trainer_compares_the_groups_that_it_trains_on(tokenizer: Any, tmp_path: Path) -> None:
    cfg = config(
        tmp_path,
        "trainer.fully_async.enabled=true",
        "trainer.fully_async.num_parallel_generation_workers=3",
        "trainer.placement.colocate_all=false",
        "trainer.algorithm.policy_loss_type=rollout_is",
    )
    trainer = make_trainer(cfg, tokenizer, 1, Prompts([1, 1, 1]))
    assert type(trainer) is host.AsyncTrainer
    trainer.global_step, groups = 1, []
    for prompt in trainer.train_dataset:
        inputs, _ = prepare_generator_input([prompt], 4, None, "gd2po_say", "train", 1)
        output = asyncio.run(trainer.generator.generate(inputs, disable_tqdm=True))
        groups.append(GeneratedOutputGroup(output, prompt["uid"], 1, 1.0, inputs["prompts"]))
    data = trainer.convert_generation_group_mini_batch_to_training_input(groups, [])
    data["values"] = None
    data = trainer.compute_advantages_and_returns(data)
    check_run(tmp_path, [trainer.all_metrics], [given(data)], rewards=REWARDS, group_size=4, **OPTIONS)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["trainer.algorithm.advantage_estimator=grpo"], "`advantage_estimator` must be 'gd2po'"),
        (["trainer.algorithm.use_kl_in_reward=true"], "`use_kl_in_reward` takes a penalty off the sum"),
        (["trainer.algorithm.zero_variance_filter=true"], "`zero_variance_filter` masks groups"),
        (["trainer.algorithm.dynamic_sampling.type=filter"], "`dynamic_sampling.type` makes SkyRL drop `env_metrics`"),
        (["gd2po.filterin=hard"], "Did you mean 'filtering'"),
    ],
)
def test_what_would_undo_the_advantages_is_refused_before_training(
    tmp_path: Path, more: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        host.checked(config(tmp_path, *more))


def test_rewards_that_the_environment_does_not_give_are_asked_for(tokenizer: Any, tmp_path: Path) -> None:
    cfg = config(tmp_path, "gd2po.reward_keys=[short,brief]", prompts=1)
    trainer = make_trainer(cfg, tokenizer, 1, Prompts([1]))
    with pytest.raises(RewardFunctionError, match="Trajectory 0 of prompt prompt 0 has no reward 'brief'"):
        step(trainer, 1)
    output = {"env_metrics": None, "is_last_step": None}
    with pytest.raises(ConfigError, match="set generator.batched to false"):
        trainer.postprocess_generator_output(output, ["prompt 0"])


def test_skyrls_command_line_starts_the_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[Any] = []
    started: list[Any] = []
    estimators = ppo_utils.AdvantageEstimatorRegistry.list_available
    remote = SimpleNamespace(remote=started.append)
    monkeypatch.setattr(host, "validate_cfg", lambda cfg: validated.extend([cfg, estimators()]))
    monkeypatch.setattr(host, "initialize_ray", lambda cfg: None)
    monkeypatch.setattr(
        host, "ray", SimpleNamespace(get=lambda it: it, remote=lambda **kwargs: lambda function: remote)
    )
    given = ["gd2po.reward_keys=[short]", "trainer.algorithm.advantage_estimator=gd2po"]
    monkeypatch.setattr(sys, "argv", ["main", "trainer.override_entrypoint=gd2po.integrations.skyrl", *given])
    main_base.main()
    assert host.ESTIMATOR in validated[1]
    assert started == [validated[0]]
    assert started[0].gd2po == {"reward_keys": ["short"]}


def test_skyrl_still_has_what_gd2po_replaces_and_calls() -> None:
    assert metadata.version("skyrl") in supported_range("skyrl")
    names = list(inspect.signature(RayPPOTrainer.postprocess_generator_output).parameters)
    assert names[:3] == ["self", "generator_output", "uids"]
    assert list(inspect.signature(RayPPOTrainer.compute_advantages_and_returns).parameters) == ["self", "data"]
    assert "get_trainer" in main_base.BasePPOExp._setup_trainer.__code__.co_names
    validated = inspect.getsource(validate_cfg)
    assert "AdvantageEstimatorRegistry.list_available()" in validated
    assert 'advantage_estimator in ("gae", "reinforce++")' in validated  # step-wise takes others, such as ours
