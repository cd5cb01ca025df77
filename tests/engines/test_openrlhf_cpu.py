"""OpenRLHF as installed from the package index, without GPU.

What stops a run here is said in docs/integrations.md. flash-attn's extension and vLLM are imported by modules that have
to be loaded and stand here as empty modules; nothing of them is called. The batches (`Experience`), their making from
responses, the experience maker, Ray's actor classes and the actor's trainer on DeepSpeed are OpenRLHF's own.
"""

from __future__ import annotations

import inspect
import os
import socket
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engine_runs import check_run

STAND_INS = {
    "flash_attn_2_cuda.py": "",
    "vllm/__init__.py": "class SamplingParams: pass",
    "vllm/inputs.py": "class TokensPrompt: pass",
    "vllm/utils.py": "random_uuid = None",
}
FOLDER = Path(tempfile.mkdtemp(prefix="openrlhf-"))
for file, code in STAND_INS.items():
    (FOLDER / file).parent.mkdir(exist_ok=True)
    (FOLDER / file).write_text(code)
sys.path.insert(0, str(FOLDER))
os.environ["DS_ACCELERATOR"] = "cpu"  # of DeepSpeed

import ray
from openrlhf.models.actor import Actor
from openrlhf.trainer import ppo_trainer, ppo_trainer_async
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator
from openrlhf.trainer.ray.ppo_actor import ActorPPOTrainer
from openrlhf.utils.deepspeed import deepspeed as openrlhf_deepspeed
from transformers import AutoTokenizer

from gd2po.data import builtin_model
from gd2po.errors import ConfigError
from gd2po.integrations import openrlhf as host
from gd2po.integrations.doctor import supported_range

REWARDS = ["correct", "short"]
OPTIONS: dict[str, Any] = {"method": "gd2po", "filtering": "hard", "reward_weights": [1.0, 0.5]}
SCORES = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.3), (1.0, 0.9), (0.0, 0.8), (0.0, 0.1)]


def section(folder: Path) -> dict[str, Any]:
    return {"reward_keys": REWARDS, **OPTIONS, "log_folder": str(folder)}


def arguments(**changed: Any) -> Any:
    values = {"estimator": "group_norm", "init_coef": 0.0, "use_loss": False, "overlong": None, **changed}
    advantage = SimpleNamespace(estimator=values["estimator"], gamma=1.0, lambd=1.0, no_std_norm=False)
    kl = SimpleNamespace(init_coef=values["init_coef"], use_loss=values["use_loss"], target=None, horizon=1)
    return SimpleNamespace(
        algo=SimpleNamespace(advantage=advantage, kl=kl, dynamic_filtering_enable=False),
        reward=SimpleNamespace(
            clip_range=None, overlong_buffer_len=values["overlong"], stop_properly_penalty_coef=None
        ),
        rollout=SimpleNamespace(n_samples_per_prompt=4, micro_batch_size=3, max_new_tokens=16),
        train=SimpleNamespace(dynamic_batch_enable=False),
        logger=SimpleNamespace(wandb=SimpleNamespace(key=None), tensorboard_dir=None),
        ckpt=SimpleNamespace(best_metric_key="none"),
        data=SimpleNamespace(max_len=64, disable_fast_tokenizer=False),
    )


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(builtin_model("builtin:toolcalls"))


def rollouts(tokenizer: Any, generator: torch.Generator) -> list[Any]:
    """Experiences as OpenRLHF makes them of what its agents return; the last one has two turns."""
    samples = object.__new__(SamplesGenerator)
    made = []
    for row, (correct, short) in enumerate(SCORES):
        prompt = f"Say something about number {row // 4}."
        before = tokenizer(prompt)["input_ids"]
        length = 4 + row
        said = torch.randint(20, len(tokenizer), (length,), generator=generator).tolist()
        start = len(before)
        ranges = [(start, start + length)] if row < 7 else [(start, start + 3), (start + 5, start + length)]
        response = {
            "prompt": prompt,
            "label": "",
            "observation_tokens": [*before, *said],
            "action_ranges": ranges,
            "rollout_log_probs": None,
            "reward": correct + short,
            "scores": correct,
            "extra_logs": {"correct": correct, "short": torch.tensor([short])},
        }
        made.append(samples._process_response_into_experience(response))
    return made


def make(maker: Any, samples: list[Any]) -> list[Any]:
    """`make_experience_batch` without the models' forward passes."""
    experiences = maker.split_rollout_samples(samples)
    for one in experiences:
        one.kl = torch.zeros_like(one.action_mask, dtype=torch.float32)
    return maker.compute_advantages_and_returns(experiences)


def maker(tokenizer: Any, section: Any, **changed: Any) -> Any:
    strategy = SimpleNamespace(args=arguments(**changed))
    made = host.ExperienceMaker(None, None, None, None, SimpleNamespace(value=0.0), strategy, tokenizer)
    made.prepare(section)
    return made


def given(experiences: list[Any]) -> list[float]:
    """The advantage of each rollout: every token of its actions has it, none else, and so have its returns."""
    found = []
    for one in experiences:
        assert torch.equal(one.advantages, one.returns)
        assert one.advantages.dtype == torch.float32
        assert not one.advantages[~one.action_mask.bool()].any()
        for row, mask in zip(one.advantages, one.action_mask, strict=True):
            (value,) = row[mask.bool()].unique().tolist()
            found.append(value)
    return found


def test_openrlhfs_experience_has_these_advantages_and_is_logged(tokenizer: Any, tmp_path: Path) -> None:
    made, generator = maker(tokenizer, section(tmp_path)), torch.Generator().manual_seed(0)
    metrics, used = [], []
    for step in (1, 2):
        made.step = step
        experiences = make(made, rollouts(tokenizer, generator))
        assert all("group_reward_std" in one.info and "return" in one.info for one in experiences)
        used.append(given(experiences))
        metrics.append(made.metrics)
    check_run(tmp_path, metrics, used, rewards=REWARDS, group_size=4, **OPTIONS)
    assert metrics[0]["rewards/correct/mean"] == 0.5


def test_rollouts_are_found_in_any_order(tokenizer: Any, tmp_path: Path) -> None:
    """Dynamic batches gather rollouts by length; `Experience.index` tells where each one stands."""
    made = maker(tokenizer, {"reward_keys": REWARDS, **OPTIONS})
    made.step = 1
    straight = given(make(made, rollouts(tokenizer, torch.Generator().manual_seed(0))))
    experiences = made.split_rollout_samples(rollouts(tokenizer, torch.Generator().manual_seed(0)))[::-1]
    for one in experiences:
        one.kl = torch.zeros_like(one.action_mask, dtype=torch.float32)
    experiences = made.compute_advantages_and_returns(experiences)
    order = [index for one in experiences for index in one.index]
    assert order != sorted(order)
    assert given(experiences) == pytest.approx([straight[index] for index in order])


class Trains:
    """What `train_step` and `__init__` of `BasePPOTrainer` do here: no models, no data, no sharding."""

    def __init__(self, *args: Any) -> None:
        self.experience_maker = RemoteExperienceMaker(*args)

    def train_step(self, rollout_samples: Any, global_step: int) -> Any:
        return {"advantages": given(make(self.experience_maker, rollout_samples))}, global_step + 1


def test_the_launchers_trainer_makes_it_inside_a_ray_actor(tokenizer: Any, tmp_path: Path) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import it
    actor_class = host.with_advantages(ray.remote(Trains), section(tmp_path))
    strategy, kl = SimpleNamespace(args=arguments()), SimpleNamespace(value=0.0)
    path = os.pathsep.join([str(FOLDER), *filter(None, sys.path)])
    ray.init(num_cpus=1, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    try:
        trainer = actor_class.remote(None, None, None, None, kl, strategy, tokenizer)
        generator = torch.Generator().manual_seed(0)
        samples = [rollouts(tokenizer, generator) for _ in range(2)]
        statuses = [ray.get(trainer.train_step.remote(samples[step], step))[0] for step in (0, 1)]
    finally:
        ray.shutdown()
    used = [status["advantages"] for status in statuses]
    check_run(tmp_path, statuses, used, rewards=REWARDS, group_size=4, **OPTIONS)


@pytest.fixture
def actor_trainer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """OpenRLHF's trainer of the actor, with DeepSpeed on gloo, in this process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", "-1")
    mesh, configured = openrlhf_deepspeed.init_device_mesh, openrlhf_deepspeed.DeepspeedStrategy.get_ds_train_config

    def on_torchs_adam(self: Any, optim_dict: Any, **more: Any) -> Any:  # DeepSpeed would compile one of its own
        return configured(self, optim_dict=optim_dict | {"params": optim_dict["params"] | {"torch_adam": True}}, **more)

    monkeypatch.setattr(openrlhf_deepspeed, "init_device_mesh", lambda device, *a, **more: mesh("cpu", *a, **more))
    monkeypatch.setattr(openrlhf_deepspeed.DeepspeedStrategy, "get_ds_train_config", on_torchs_adam)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    args = arguments()
    args.local_rank, args.vllm = -1, SimpleNamespace(sync_backend="gloo")
    args.ds = SimpleNamespace(param_dtype="bf16", packing_samples=False, tensor_parallel_size=1)
    args.train = SimpleNamespace(dynamic_batch_enable=False, max_epochs=1, colocate_all=False, async_enable=False)
    args.actor = SimpleNamespace(
        eps_clip_low_high=[0.2, 0.2], dual_clip=None, loss_agg_mode="token-mean", policy_loss_type="ppo",
        aux_loss_coef=0.0, entropy_coef=None, gradient_checkpointing_enable=False,
    )  # fmt: skip
    vars(args.algo.advantage).update(
        is_correction_level="off", is_correction_mode="mask", is_correction_gating="ratio",
        is_correction_threshold=[0.5, 5.0],
    )  # fmt: skip
    strategy = openrlhf_deepspeed.DeepspeedStrategy(
        micro_train_batch_size=4, train_batch_size=8, zero_stage=0, args=args
    )
    strategy.setup_distributed()
    adam = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.0}
    settings = {"optim": "adam", "adam": adam, "lr_scheduler": "constant", "scheduler_steps": 4}
    actor = Actor(str(builtin_model("builtin:toolcalls")), attn_implementation="sdpa", param_dtype="bf16")
    actor, optimizer, scheduler = strategy.prepare((actor, settings))
    trainer = ActorPPOTrainer(
        strategy, actor, None, optimizer, scheduler, micro_train_batch_size=4, dataloader_pin_memory=False
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: "cpu")
    yield trainer
    torch.distributed.destroy_process_group()


def test_the_actors_trainer_follows_these_advantages(tokenizer: Any, actor_trainer: Any) -> None:
    made, actor = maker(tokenizer, {"reward_keys": REWARDS, **OPTIONS}), actor_trainer.actor
    made.step = 1
    experiences = make(made, rollouts(tokenizer, torch.Generator().manual_seed(0)))

    def log_probs() -> list[Any]:
        with torch.no_grad():
            return [actor(one.sequences, one.action_mask, one.attention_mask) for one in experiences]

    before = log_probs()
    for one, values in zip(experiences, before, strict=True):
        one.action_log_probs = values
        actor_trainer.replay_buffer.append(one)
    status = actor_trainer.ppo_train(0.0)
    assert status["actor_grad_norm"] > 0
    gained = [
        ((after - old) * one.action_mask).sum(1)
        for after, old, one in zip(log_probs(), before, experiences, strict=True)
    ]
    wanted = torch.tensor(given(experiences))
    assert 0 < int((wanted != 0).sum()) < len(wanted)
    assert float((torch.cat(gained) * wanted).sum()) > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"estimator": "reinforce_baseline"}, "`algo.advantage.estimator` must be group_norm here"),
        ({"overlong": 4}, "`reward.overlong_buffer_len` would change the sum"),
        ({"init_coef": 0.01}, "`algo.kl.init_coef` takes a penalty off the sum"),
    ],
)
def test_what_would_undo_the_advantages_is_refused_before_training(
    tokenizer: Any, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        maker(tokenizer, {"reward_keys": REWARDS}, **changed)


def test_a_penalty_in_the_loss_is_not_in_the_way(tokenizer: Any) -> None:
    maker(tokenizer, {"reward_keys": REWARDS}, init_coef=0.01, use_loss=True)


def test_rewards_that_are_not_returned_are_asked_for(tokenizer: Any) -> None:
    made = maker(tokenizer, {"reward_keys": ["correct", "brief"]})
    made.step = 1
    with pytest.raises(ConfigError, match=r"no reward 'brief', they have: .*correct.*`extra_logs`"):
        make(made, rollouts(tokenizer, torch.Generator().manual_seed(0)))


def test_the_launcher_starts_openrlhfs_command_line_with_its_trainers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ppo_trainer.PPOTrainer, ppo_trainer_async.TrainingActor
    started: list[Any] = []
    monkeypatch.setattr(host.runpy, "run_module", lambda name, **kwargs: started.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "argv", [])
    path = tmp_path / "gd2po.yaml"
    path.write_text("gd2po: {reward_keys: [correct, short], filtering: hard}")
    try:
        host.main([str(path), "--algo.advantage.estimator", "group_norm"])
        assert started == [("openrlhf.cli.train_ppo_ray", ["--algo.advantage.estimator", "group_norm"])]
        now = ppo_trainer.PPOTrainer, ppo_trainer_async.TrainingActor
        for old, new in zip(before, now, strict=True):
            base = old.__ray_metadata__.modified_class
            assert issubclass(new.__ray_metadata__.modified_class, base.__mro__[1])
    finally:
        ppo_trainer.PPOTrainer, ppo_trainer_async.TrainingActor = before
    with pytest.raises(ConfigError, match="The first argument must be a YAML file"):
        host.main(["--algo.advantage.estimator", "group_norm"])
    path.write_text("gd2po: {reward_key: [correct]}")
    with pytest.raises(ConfigError, match="`gd2po.reward_keys` must list"):
        host.main([str(path)])


def test_openrlhf_still_has_what_gd2po_replaces_and_reads() -> None:
    assert metadata.version("openrlhf") in supported_range("openrlhf")
    names = list(inspect.signature(RemoteExperienceMaker.compute_advantages_and_returns).parameters)
    assert names == ["self", "experiences"]
    assert "RemoteExperienceMaker" in ppo_trainer.BasePPOTrainer.__init__.__code__.co_names
    names = list(inspect.signature(ppo_trainer.BasePPOTrainer.train_step).parameters)
    assert names[:3] == ["self", "rollout_samples", "global_step"]
    command_line = (Path(ppo_trainer.__file__).parents[1] / "cli" / "train_ppo_ray.py").read_text()
    for setting in [*host._RULES, "algo.kl.init_coef", "algo.kl.use_loss"]:
        assert f'"--{setting}"' in command_line
    for name in ("PPOTrainerAsync as PPOTrainer", "from openrlhf.trainer.ppo_trainer import PPOTrainer"):
        assert name in command_line
