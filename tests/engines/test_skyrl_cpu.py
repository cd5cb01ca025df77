"""SkyRL as installed from the package index, without GPU: generator, environments, trainers, dispatch and workers.

Its workers ask for NCCL and flash-attn, its inference servers are vLLM: `skyrl_cpu` answers for them.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import skyrl_cpu
import skyrl_gym
import torch
from engine_runs import check_run
from skyrl.backends.skyrl_train.utils import ppo_utils
from skyrl.backends.skyrl_train.workers.worker_dispatch import WorkerDispatch
from skyrl.train.entrypoints import main_base
from skyrl.train.fully_async_trainer import GeneratedOutputGroup
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from skyrl.train.generators.utils import prepare_generator_input
from skyrl.train.trainer import RayPPOTrainer
from skyrl.train.utils import validate_cfg
from skyrl_cpu import Client, PolicyActor
from skyrl_gym.envs.base_text_env import BaseTextEnv
from transformers import AutoTokenizer

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


@pytest.mark.timeout(900)
def test_skyrls_training_loop_updates_the_policy_with_these_advantages(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        "max_training_steps": 2, "epochs": 2, "ckpt_interval": -1, "eval_interval": -1, "resume_mode": "none",
        "flash_attn": "false", "remove_microbatch_padding": "false", "micro_train_batch_size_per_gpu": 5,
        "policy.model.path": builtin_model("builtin:toolcalls"), "policy.optimizer_config.lr": 1e-3,
        "algorithm.use_kl_loss": "false", "placement.colocate_all": "false", "placement.policy_num_gpus_per_node": 1,
    }  # fmt: skip
    trainer = make_trainer(
        config(tmp_path, *(f"trainer.{name}={value}" for name, value in options.items())),
        tokenizer,
        1,
        Prompts([1, 1, 1]),
    )
    used: list[list[float]] = []
    logged: list[dict[str, Any]] = []
    client = trainer.generator.inference_engine_client
    before = {name: value.clone() for name, value in client.model.state_dict().items()}
    staged = WorkerDispatch.stage_data

    def spy(self: Any, model: str, data: Any, *args: Any) -> Any:
        if "advantages" in data:  # else for the log-probabilities
            tokens = float(data["loss_mask"].sum())  # SkyRL's mean over tokens divides the advantages
            used.append([tokens * value for value in given(data)])
        return staged(self, model, data, *args)

    monkeypatch.setattr(WorkerDispatch, "stage_data", spy)
    monkeypatch.setattr(WorkerDispatch, "_broadcast_to_inference_engines", skyrl_cpu.send_weights)
    trainer.inference_engine_client = client
    trainer.tracker = SimpleNamespace(
        log=lambda metrics, **kwargs: logged.append(metrics), finish=lambda: None, backend="console"
    )
    paths = {"PYTHONPATH": ":".join(sys.path)}
    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, runtime_env={"env_vars": paths})  # a GPU in name only
    try:
        trainer.build_models(PolicyActor, None, None)
        asyncio.run(trainer.train())
    finally:
        ray.shutdown()
    check_run(tmp_path, logged, used, rewards=REWARDS, group_size=4, **OPTIONS)
    assert all(metrics["policy/grad_norm"] > 0 for metrics in logged)
    assert any(not torch.equal(value, before[name]) for name, value in client.model.state_dict().items())


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
        (["trainer.algorithm.advantage_batch_normalize=true"], "`advantage_batch_normalize` shifts the advantages"),
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
