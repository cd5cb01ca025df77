"""Dynamic sampling in a real trainer: what is trained on, logged and counted, and what it relies on in TRL."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset, IterableDataset
from trl import GRPOTrainer

from gd2po import gd2po_advantages
from gd2po.errors import ConfigError

SPEAKING = [0, 3, 4, 9, 10, 13]
"""Of 16 prompts, those whose groups have a signal."""


def number(prompt: str) -> int:
    return int(prompt.split()[-1].rstrip("."))


def length(prompts: list[str], completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    return [
        sum(ids) / 1e4 if number(text) in SPEAKING else 1.0 for text, ids in zip(prompts, completion_ids, strict=True)
    ]


def vowels(prompts: list[str], completions: list[str], **kwargs: Any) -> list[float]:
    counts = [float(sum(letter in "aeiou" for letter in text)) for text in completions]
    return [count if number(text) in SPEAKING else 0.0 for text, count in zip(prompts, counts, strict=True)]


def constant(completions: list[str], **kwargs: Any) -> list[float]:
    return [1.0] * len(completions)


def rollouts(trainer: Any) -> pd.DataFrame:
    return pd.read_parquet(f"{trainer.args.output_dir}/rollouts")


def entries(trainer: Any) -> list[dict[str, Any]]:
    return [entry for entry in trainer.state.log_history if "reward" in entry]


def outputs_of(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the loss gets, batch by batch."""
    seen: list[dict[str, Any]] = []
    original = type(trainer)._generate_and_score_completions

    def note(self: Any, inputs: Any) -> Any:
        output = original(self, inputs)
        seen.append({name: value.clone() for name, value in output.items()})
        return output

    monkeypatch.setattr(type(trainer), "_generate_and_score_completions", note)
    return seen


def test_the_seams_in_trl_are_where_the_sampler_expects_them() -> None:
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    for column in ("prompt", "completion"):
        assert f'self._logs["{column}"].extend(gather_object({column}s))' in source
    assert 'self._logs["rewards"][name].extend(' in source
    assert 'self._logs["extra"][column].extend(' in source
    assert "num_items_in_batch = self.accelerator.gather(loss_mask.sum()).sum()" in source
    assert 'self._metrics[mode]["num_tokens"] = [' in inspect.getsource(GRPOTrainer._generate)
    made = inspect.getsource(GRPOTrainer.__init__)
    assert '"prompt": deque(maxlen=args.generation_batch_size)' in made
    # Called with whatever number of prompts, and once per generation batch.
    prepare = inspect.getsource(GRPOTrainer._prepare_inputs)
    assert prepare.count("self._generate_and_score_completions(generation_batch)") == 2


def test_the_batch_is_trained_on_full_of_signal(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer([length, vowels], dynamic_sampling=True, max_num_gen_batches=50, log_rollouts=True)
    batches = outputs_of(trainer, monkeypatch)
    trainer.train()
    log = rollouts(trainer)
    assert len(log) == 2 * 16
    assert {number(prompt) for prompt in log["prompt"]} <= set(SPEAKING)
    assert log["signal"].all()
    assert log.groupby(["step", "group"])["prompt"].nunique().eq(1).all()
    for batch, entry in zip(batches, entries(trainer), strict=True):
        assert batch["completion_ids"].shape[0] == 16
        assert entry["conflict/zero_signal_group_rate"] == entry["conflict/cancelled_group_rate"] == 0
        assert entry["conflict/num_gen_batches"] >= 2
        assert entry["conflict/discarded_rollouts"] >= 4
        assert 0 < entry["conflict/drawn_zero_signal_group_rate"] < 1


def test_rows_keep_their_texts_rewards_and_advantages(make_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(
        [length, vowels],
        dynamic_sampling=True,
        max_num_gen_batches=50,
        log_rollouts=True,
        log_completions=True,
        max_steps=1,
        snr_threshold=0.6,
    )
    (batches, tokenizer) = outputs_of(trainer, monkeypatch), trainer.processing_class
    trainer.train()
    log, (batch,) = rollouts(trainer), batches
    rewards = torch.tensor(log[["reward/length", "reward/vowels"]].to_numpy())
    expected = gd2po_advantages(rewards, torch.arange(16) // 4, snr_threshold=0.6)
    torch.testing.assert_close(batch["advantages"], expected.advantages, rtol=1e-4, atol=1e-4)
    assert log["advantage"].tolist() == pytest.approx(batch["advantages"].tolist())
    assert tokenizer.batch_decode(batch["completion_ids"], skip_special_tokens=True) == log["completion"].tolist()
    assert tokenizer.batch_decode(batch["prompt_ids"], skip_special_tokens=True) == log["prompt"].tolist()
    assert batch["completion_mask"].sum(1).tolist() == log["completion_tokens"].tolist()
    assert batch["num_items_in_batch"] == log["completion_tokens"].sum()
    sums = (batch["completion_ids"] * batch["completion_mask"]).sum(1) / 1e4
    assert log["reward/length"].tolist() == pytest.approx(sums.tolist())
    table = pd.read_parquet(f"{trainer.args.output_dir}/completions/completions_00001.parquet")
    assert table["prompt"].tolist() == log["prompt"].tolist()
    assert table["completion"].tolist() == log["completion"].tolist()
    assert table["advantage"].tolist() == pytest.approx(log["advantage"].tolist())
    assert table["vowels"].tolist() == log["reward/vowels"].tolist()


def test_trl_logs_the_batch_as_first_drawn_and_counts_all_tokens(make_trainer: Any, tiny_model: Any) -> None:
    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}

    def logged(**config: Any) -> dict[str, Any]:
        tiny_model.load_state_dict(start)
        trainer = make_trainer([length, vowels], max_steps=1, **config)
        trainer.train()
        return entries(trainer)[0]

    plain, sampled = logged(), logged(dynamic_sampling=True, max_num_gen_batches=50)
    for name in (
        "reward",
        "rewards/length/mean",
        "rewards/vowels/std",
        "completions/mean_length",
        "frac_reward_zero_std",
    ):
        assert sampled[name] == pytest.approx(plain[name]), name
    assert sampled["conflict/zero_signal_group_rate"] < plain["conflict/zero_signal_group_rate"]
    assert sampled["num_tokens"] > plain["num_tokens"]
    assert not any("gen_batches" in name for name in plain)


def test_a_batch_full_of_signal_is_the_one_without_dynamic_sampling(make_trainer: Any, tiny_model: Any) -> None:
    def lengths(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        return [sum(ids) / 1e4 for ids in completion_ids]

    start = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    weights = []
    for config in ({}, {"dynamic_sampling": True}):
        tiny_model.load_state_dict(start)
        trainer = make_trainer([lengths], **config)
        trainer.train()
        weights.append({name: value.clone() for name, value in tiny_model.state_dict().items()})
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in start)
    assert not torch.equal(weights[0]["lm_head.weight"], start["lm_head.weight"])
    assert entries(trainer)[0]["conflict/num_gen_batches"] == 1
    assert entries(trainer)[0]["conflict/discarded_rollouts"] == 0


def test_at_the_bound_the_run_trains_on_what_there_is_and_says_so_once(
    make_trainer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def first_prompts(prompts: list[str], completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
        return [float(len(ids)) * (number(text) == 3) for text, ids in zip(prompts, completion_ids, strict=True)]

    trainer = make_trainer(
        [first_prompts], dynamic_sampling=True, max_num_gen_batches=2, max_steps=3, log_rollouts=True
    )
    with caplog.at_level(logging.WARNING, logger="gd2po.integrations.trl.trainer"):
        trainer.train()
    said = [record.message for record in caplog.records if "dynamic_sampling" in record.message]
    assert len(said) == 1
    assert "after 2 generation batches" in said[0]
    assert len(rollouts(trainer)) == 3 * 16
    assert trainer.state.global_step == 3
    assert all(entry["conflict/num_gen_batches"] == 2 for entry in entries(trainer))
    assert not rollouts(trainer)["signal"].all()


@pytest.mark.parametrize(
    "config",
    [
        {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "steps_per_generation": 4},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4, "steps_per_generation": 2},
        {"num_iterations": 2, "max_steps": 4},
        {"skip_zero_advantage": False},
        {"mask_truncated_completions": True},
        {"pad_to_multiple_of": 8},
        {"remove_unused_columns": True},
    ],
)
def test_it_goes_with_accumulation_and_reuse(make_trainer: Any, config: dict[str, Any]) -> None:
    trainer = make_trainer([length, vowels], dynamic_sampling=True, max_num_gen_batches=50, log_rollouts=True, **config)
    trainer.train()
    log = rollouts(trainer)
    assert {number(prompt) for prompt in log["prompt"]} <= set(SPEAKING)
    assert log.groupby(["step", "group", "prompt"]).size().mod(4).eq(0).all()
    assert all(pd.notna(entry["loss"]) for entry in entries(trainer))
    if config.get("steps_per_generation") == 2:  # two generation batches in a step, with prompts of their own
        assert len(log) == 2 * 16
        assert log["prompt"].nunique() > 2


def test_the_reference_of_a_kl_penalty_moves_with_its_rollouts(
    make_trainer: Any, tiny_model: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model.save_pretrained(tmp_path)
    tiny_model.config._name_or_path = str(tmp_path)  # TRL loads the reference model from there
    trainer = make_trainer(
        [length, vowels], dynamic_sampling=True, max_num_gen_batches=50, beta=0.1, num_iterations=2, max_steps=1
    )
    batches = outputs_of(trainer, monkeypatch)
    trainer.train()
    (batch,) = batches
    kept = batch["completion_mask"].bool()
    assert batch["ref_per_token_logps"].shape == batch["old_per_token_logps"].shape == kept.shape
    # At the first step the policy is the reference.
    torch.testing.assert_close(batch["ref_per_token_logps"][kept], batch["old_per_token_logps"][kept])


def test_reward_functions_get_their_columns_and_may_log_extra(make_trainer: Any) -> None:
    def graded(prompts: list[str], level: list[int], log_extra: Any, **kwargs: Any) -> list[float]:
        log_extra("level", level)
        return [float(row % 4) * (one % 2) for row, one in enumerate(level)]

    data = Dataset.from_dict({"prompt": [f"Say {n}." for n in range(16)], "level": list(range(16))})
    trainer = make_trainer(
        [graded], dataset=data, dynamic_sampling=True, max_num_gen_batches=50, log_completions=True, max_steps=1
    )
    trainer.train()
    table = pd.read_parquet(f"{trainer.args.output_dir}/completions/completions_00001.parquet")
    assert table["level"].mod(2).eq(1).all()
    assert [number(prompt) for prompt in table["prompt"]] == table["level"].tolist()


def test_a_resumed_run_ends_as_one_that_was_not_stopped(make_trainer: Any, tiny_model: Any, tmp_path: Any) -> None:
    def run(checkpoint: str | None) -> tuple[list[torch.Tensor], pd.DataFrame]:
        trainer = make_trainer(
            [length, vowels], dynamic_sampling=True, max_num_gen_batches=50, log_rollouts=True, max_steps=4,
            save_strategy="steps", save_steps=1,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=checkpoint)
        return [parameter.detach().clone() for parameter in tiny_model.parameters()], rollouts(trainer)

    weights, log = run(None)
    again, log_again = run(str(tmp_path / "run" / "checkpoint-2"))
    assert all(torch.equal(one, other) for one, other in zip(weights, again, strict=True))
    pd.testing.assert_frame_equal(log, log_again)
    assert set(log["step"]) == {1, 2, 3, 4}


def test_evaluation_is_left_alone(make_trainer: Any, prompts: Any) -> None:
    trainer = make_trainer([constant], dynamic_sampling=True, eval_dataset=prompts, per_device_eval_batch_size=16)
    metrics = trainer.evaluate()
    assert metrics["eval_conflict/zero_signal_group_rate"] == 1
    assert not any("gen_batches" in name for name in metrics)


def test_streamed_data_is_refused(make_trainer: Any, prompts: Any) -> None:
    def rows() -> Any:
        yield from prompts

    with pytest.raises(ConfigError, match="`dynamic_sampling` draws further prompts from the training data by number"):
        make_trainer([constant], dataset=IterableDataset.from_generator(rows), dynamic_sampling=True)


def test_images_are_refused(make_trainer: Any) -> None:
    data = Dataset.from_dict({"prompt": ["Say something."], "image": [None]})
    with pytest.raises(ConfigError, match="cannot do that with images"):
        make_trainer([constant], dataset=data, dynamic_sampling=True)


@pytest.mark.parametrize("most", [1, 0, -3, 2.5, "many", True])
def test_a_bound_that_allows_no_replacement_is_refused(make_trainer: Any, most: int) -> None:
    with pytest.raises(
        ConfigError, match=f"`max_num_gen_batches` must be a whole number of at least 2 .* got {most!r}"
    ):
        make_trainer([constant], dynamic_sampling=True, max_num_gen_batches=most)


def test_learned_positions_are_refused_where_log_probabilities_are_kept(tokenizer: Any, tmp_path: Any) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from gd2po import GD2POConfig, GD2POTrainer

    def train(**config: Any) -> None:
        model = GPT2LMHeadModel(GPT2Config(
            vocab_size=len(tokenizer), n_layer=1, n_head=2, n_embd=16, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        ))  # fmt: skip
        GD2POTrainer(
            model, [length], GD2POConfig(
                output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False, num_generations=4,
                per_device_train_batch_size=8, max_completion_length=8, max_steps=1, report_to="none",
                dynamic_sampling=True, save_strategy="no", disable_tqdm=True, **config,
            ),
            train_dataset=Dataset.from_dict({"prompt": [f"Say something about number {n}." for n in range(16)]}),
            processing_class=tokenizer,
        ).train()  # fmt: skip

    train()
    with pytest.raises(ConfigError, match="this model's positions count padding"):
        train(num_iterations=2)
